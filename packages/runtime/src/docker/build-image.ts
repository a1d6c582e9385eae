import type { Readable } from "node:stream";
import { KedgeError } from "@kedge/domain";
import type { ImageBuildOptions } from "dockerode";
import type { BuildOptions, BuildResult } from "../image-store.ts";
import { type BuildContext, openBuildContext, packContext } from "./build-context.ts";
import { buildFailure } from "./build-failure.ts";
import { BuildLog } from "./build-log.ts";
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
  const start = async (version: "1" | "2"): Promise<Readable> => {
    const stream = await docker.buildImage(packContext(context, options.signal), {
      ...buildQuery(context, options),
      version,
    });
    return stream as Readable;
  };
  if (builder === "classic") return start("1");
  try {
    return await start("2");
  } catch (error) {
    // 404: an engine without sessions; 501, 500: one whose BuildKit is off. A bad Dockerfile is reported later.
    const status = dockerStatus(error);
    if (status !== 404 && status !== 500 && status !== 501) throw error;
    return start("1");
  }
}

function buildQuery(context: BuildContext, options: BuildOptions): ImageBuildOptions {
  return {
    dockerfile: context.dockerfile,
    t: options.tags[0] ?? "",
    buildargs: { ...options.args },
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
