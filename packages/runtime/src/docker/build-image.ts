import type { Readable } from "node:stream";
import { KedgeError } from "@kedge/domain";
import type { ImageBuildOptions } from "dockerode";
import type { BuildOptions, BuildResult } from "../image-store.ts";
import { registryConfig } from "../registry/registry-logins.ts";
import { type BuildContext, openBuildContext, packContext } from "./build-context.ts";
import { buildFailure } from "./build-failure.ts";
import { BuildLog } from "./build-log.ts";
import { openBuildSession } from "./build-session.ts";
import type { DockerClient } from "./connect.ts";
import { dockerStatus, mapDockerError } from "./docker-error.ts";
import { splitTag } from "./image-name.ts";
import { auxField, readProgress } from "./progress.ts";

type Builder = "buildkit" | "classic";

/** Builds an image; see `ImageStore.build`. */
export async function buildImage(docker: DockerClient, builder: Builder, options: BuildOptions): Promise<BuildResult> {
  options.signal.throwIfAborted();
  if (options.tags.length === 0) {
    throw new KedgeError("INVALID_FIELD", "a build needs at least one tag", { field: "tags" });
  }
  const context = await openBuildContext(options);
  try {
    const stream = await openBuild(docker, builder, context, options);
    return await followBuild(docker, stream, options);
  } catch (error) {
    if (options.signal.aborted) throw new KedgeError("CANCELLED", "the build was cancelled", { cause: error });
    // The classic builder reads the Dockerfile before it answers.
    throw mapDockerError(error, "the image is built", "dockerfile");
  }
}

async function openBuild(
  docker: DockerClient,
  builder: Builder,
  context: BuildContext,
  options: BuildOptions,
): Promise<Readable> {
  try {
    if (builder === "buildkit") return await openBuildKit(docker, context, options);
  } catch (error) {
    if (!lacksBuildKit(error)) throw error;
  }
  const { secrets = new Map(), logins = new Map() } = options;
  if (secrets.size > 0) throw needsBuildKit();
  return send(docker, context, options, {
    ...buildQuery(context, options, "1"),
    version: "1",
    ...(logins.size === 0 ? {} : { registryconfig: registryConfig(logins) }),
  });
}

/** With a session of its own: the client's has nothing to offer but one login. */
async function openBuildKit(docker: DockerClient, context: BuildContext, options: BuildOptions): Promise<Readable> {
  const { secrets = new Map(), logins = new Map() } = options;
  const session = await openBuildSession(docker, { secrets, logins });
  try {
    // The client opens its session for the text "2", and hands on the number.
    const query: object = { ...buildQuery(context, options, "2"), version: 2, session: session.id };
    const stream = await send(docker, context, options, query);
    stream.once("close", () => session.close());
    return stream;
  } catch (error) {
    session.close();
    throw error;
  }
}

async function send(
  docker: DockerClient,
  context: BuildContext,
  { signal }: BuildOptions,
  query: ImageBuildOptions,
): Promise<Readable> {
  return (await docker.buildImage(packContext(context, signal), query)) as Readable;
}

/** 404: an engine without sessions; 501, 500: one whose BuildKit is off. A bad Dockerfile is reported later. */
function lacksBuildKit(error: unknown): boolean {
  const status = dockerStatus(error);
  return status === 404 || status === 500 || status === 501;
}

function needsBuildKit(): KedgeError {
  return new KedgeError(
    "UNSUPPORTED_PLATFORM",
    "secrets of a build need BuildKit, which this node's engine does not have",
    {
      field: "build.secrets",
      hint: "use Docker 18.09 or newer with BuildKit on, or run the build on another node",
    },
  );
}

function buildQuery(context: BuildContext, options: BuildOptions, version: "1" | "2"): ImageBuildOptions {
  const { cacheFrom = [], platform = "" } = options;
  // Without it BuildKit would find nothing to use in what it has built.
  const inline = cacheFrom.length > 0 && version === "2" ? { BUILDKIT_INLINE_CACHE: "1" } : {};
  return {
    dockerfile: context.dockerfile,
    t: options.tags[0] ?? "",
    buildargs: { ...inline, ...options.args },
    ...(cacheFrom.length === 0 ? {} : { cachefrom: JSON.stringify(cacheFrom) }),
    ...(platform === "" ? {} : { platform }),
    labels: { ...options.labels },
    ...(options.target === undefined || options.target === "" ? {} : { target: options.target }),
    nocache: options.noCache ?? false,
    rm: true,
    forcerm: true,
    abortSignal: options.signal,
  };
}

async function followBuild(docker: DockerClient, stream: Readable, options: BuildOptions): Promise<BuildResult> {
  const log = new BuildLog(options.onLog);
  const onAbort = (): void => void stream.destroy(new DOMException("aborted", "AbortError"));
  options.signal.addEventListener("abort", onAbort, { once: true });
  let imageId: string | undefined;
  try {
    for await (const event of readProgress(stream)) {
      log.add(event);
      imageId = auxField(event, "ID") ?? imageId;
      if (event.error !== undefined) return buildFailure(event, log.failedStep);
    }
  } finally {
    options.signal.removeEventListener("abort", onAbort);
    stream.destroy();
    log.end();
  }
  options.signal.throwIfAborted();
  const [first = "", ...others] = options.tags;
  imageId ??= (await docker.getImage(first).inspect()).Id;
  for (const tag of others) await docker.getImage(imageId).tag(splitTag(tag));
  return { kind: "built", imageId };
}
