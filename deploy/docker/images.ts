import { cp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { KedgeError } from "@kedge/domain";
import { buildHostBaseImage, connectDocker, createImageStore, type ImageStore } from "@kedge/runtime";
import { fingerprint, type HostPrograms, kedgePrograms, natsPrograms } from "./host-programs.ts";
import { stageContext } from "./stage-context.ts";

/** Names of the images that docker-compose.yml starts. */
export const IMAGES = ["kedge/nats:latest", "kedge/controller:latest", "kedge/agent:latest"] as const;

/** How the images are built. */
export interface BuildImagesOptions {
  /** Take node and nats from this registry, e.g. "docker.io/library". Default: from this machine's own programs. */
  readonly registry?: string;
  /** One line of progress. */
  readonly onLog: (line: string) => void;
  readonly signal: AbortSignal;
}

const ROOT = resolve(import.meta.dirname, "../..");
const NODE_IMAGE = "node:24-bookworm-slim";
const NATS_IMAGE = "nats:2-alpine";

/**
 * Builds kedge/base:24, kedge/nats, kedge/controller and kedge/agent on this machine's Docker Engine. What has not
 * changed since the last time is taken from the engine's cache. Not to be run twice at once.
 *
 * @throws KedgeError UNSUPPORTED_PLATFORM, INVALID_OPTION, DOCKER_UNAVAILABLE, IMAGE_UNAVAILABLE, PROCESS_FAILED.
 */
export async function buildImages({ registry, onLog, signal }: BuildImagesOptions): Promise<void> {
  const images = createImageStore({ docker: connectDocker() });
  const bases =
    registry === undefined ? await hostBases(images, onLog) : await pullBases(images, registry, { onLog, signal });
  const contextDir = join(ROOT, ".kedge/image-context");
  try {
    await stageContext(ROOT, contextDir);
    await cp(join(import.meta.dirname, "Dockerfile"), join(contextDir, "Dockerfile"));
    const shared = { images, onLog, signal };
    await build({
      ...shared,
      tag: IMAGES[0],
      base: bases.nats,
      contextDir: import.meta.dirname,
      file: "nats.Dockerfile",
    });
    for (const target of ["controller", "agent"] as const) {
      const tag = target === "controller" ? IMAGES[1] : IMAGES[2];
      await build({ ...shared, tag, base: bases.node, contextDir, file: "Dockerfile", target });
    }
  } finally {
    await rm(contextDir, { recursive: true, force: true });
  }
}

interface Bases {
  readonly node: string;
  readonly nats: string;
}

async function pullBases(
  images: ImageStore,
  registry: string,
  options: { readonly onLog: (line: string) => void; readonly signal: AbortSignal },
): Promise<Bases> {
  const bases = { node: `${registry}/${NODE_IMAGE}`, nats: `${registry}/${NATS_IMAGE}` };
  for (const image of [bases.node, bases.nats]) await images.pull(image, options);
  await tag(bases.node, "24");
  return bases;
}

async function hostBases(images: ImageStore, onLog: (line: string) => void): Promise<Bases> {
  const node = await hostBase(images, "kedge/base:24", await kedgePrograms(ROOT), onLog);
  await tag(node, "24");
  return { node, nats: await hostBase(images, "kedge/nats-base:host", await natsPrograms(), onLog) };
}

/** An imported image has a new id each time, which would spoil the cache; so it is made only when a program changed. */
async function hostBase(
  images: ImageStore,
  name: string,
  contents: HostPrograms,
  onLog: (line: string) => void,
): Promise<string> {
  const image = `${name}-${await fingerprint(contents)}`;
  if ((await images.find(image)) !== undefined) return image;
  onLog(`${image} from ${contents.programs.join(", ")}`);
  await buildHostBaseImage({ images, tag: image, ...contents });
  return image;
}

function tag(image: string, version: string): Promise<unknown> {
  return connectDocker().getImage(image).tag({ repo: "kedge/base", tag: version });
}

interface Build {
  readonly images: ImageStore;
  readonly tag: string;
  readonly base: string;
  readonly contextDir: string;
  readonly file: string;
  readonly target?: string;
  readonly onLog: (line: string) => void;
  readonly signal: AbortSignal;
}

async function build({ images, tag: name, base, contextDir, file, target, onLog, signal }: Build): Promise<void> {
  onLog(`building ${name}`);
  const result = await images.build({
    contextDir,
    dockerfile: file,
    args: { BASE_IMAGE: base },
    tags: [name],
    ...(target === undefined ? {} : { target }),
    signal,
    onLog: (line) => onLog(`  ${line}`),
  });
  if (result.kind === "failed") throw new KedgeError("PROCESS_FAILED", `building ${name}: ${result.message}`);
}
