import { type BuildStep, LogStream } from "@kedge/proto";
import type { ImageStore, PlatformImage, TransferOptions } from "@kedge/runtime";
import { resolveInside } from "../tasks/workspace.ts";
import type { StepContext, StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";

const MAX_UNWRITTEN_LINES = 1000;

/**
 * Builds an image from a folder of the workspace and, if asked to, pushes it. For several platforms it builds one image each,
 * and pushes an index of them last: a tag never stands for some of them only.
 * Outputs: image (the first tag), image_id (of the first platform), and digest when it was pushed.
 */
export async function buildStep(context: StepContext, action: BuildStep): Promise<StepResult> {
  const { images } = context.runtimes;
  if (images === undefined) throw new StepFailure("INFRASTRUCTURE", "this node has no Docker Engine");
  if (action.tags.length === 0) throw new StepFailure("INVALID", "build: the step has no tag");
  const build = new ImageBuild(context, action, images);
  if (action.platforms.length < 2) return { outputs: await build.forOne(action.platforms[0]) };
  if (!action.push) throw new StepFailure("INVALID", "build.platforms: several platforms need push: true");
  return { outputs: await build.forSeveral(action.platforms) };
}

/** One step's builds and pushes. */
class ImageBuild {
  readonly #context: StepContext;
  readonly #action: BuildStep;
  readonly #images: ImageStore;
  readonly #lines: LineLog;
  readonly #signal: AbortSignal;

  constructor(context: StepContext, action: BuildStep, images: ImageStore) {
    this.#context = context;
    this.#action = action;
    this.#images = images;
    this.#lines = new LineLog(context);
    this.#signal = AbortSignal.any([context.signal, context.detached]);
  }

  async forOne(platform: string | undefined): Promise<Record<string, string>> {
    const { tags, push } = this.#action;
    const [image = ""] = tags;
    const outputs = { image, image_id: await this.#build(tags, platform) };
    if (!push) return outputs;
    const digests: string[] = [];
    for (const tag of tags) digests.push(await this.#push(tag));
    return { ...outputs, digest: digests[0] ?? "" };
  }

  async forSeveral(platforms: readonly string[]): Promise<Record<string, string>> {
    const { tags } = this.#action;
    const [image = ""] = tags;
    const ids: string[] = [];
    const parts = new Map<string, PlatformImage[]>(tags.map((tag) => [tag, []]));
    for (const platform of platforms) {
      ids.push(
        await this.#build(
          tags.map((tag) => platformTag(tag, platform)),
          platform,
        ),
      );
      for (const [tag, own] of parts) own.push({ platform, digest: await this.#push(platformTag(tag, platform)) });
    }
    const digests: string[] = [];
    for (const [tag, own] of parts) digests.push(await this.#pushIndex(tag, own));
    return { image, image_id: ids[0] ?? "", digest: digests[0] ?? "" };
  }

  async #build(tags: readonly string[], platform: string | undefined): Promise<string> {
    const { workspace, ref, step, log, logins } = this.#context;
    const action = this.#action;
    if (action.platforms.length > 1) await log.note(step.name, `building for ${platform}`);
    const result = await this.#images.build({
      contextDir: await resolveInside(workspace, action.context || ".", "build.context"),
      ...{ workspace, tags, logins, args: action.args, noCache: action.noCache, signal: this.#signal },
      labels: { "kedge.run": ref.runId, "kedge.job": ref.job },
      onLog: (line) => this.#lines.add(line),
      ...(action.dockerfile === "" ? {} : { dockerfile: action.dockerfile }),
      ...(action.target === "" ? {} : { target: action.target }),
      ...(action.secrets.length === 0 ? {} : { secrets: secretsOf(this.#context, action) }),
      ...(action.cacheFrom.length === 0 ? {} : { cacheFrom: action.cacheFrom }),
      ...(platform === undefined ? {} : { platform }),
    });
    await this.#lines.flush();
    if (result.kind === "built") return result.imageId;
    throw new StepFailure("EXIT_CODE", `build: ${result.message}`, { exitCode: result.exitCode });
  }

  async #push(tag: string): Promise<string> {
    const { digest } = await this.#images.push(tag, this.#transfer);
    return this.#pushed(tag, digest);
  }

  async #pushIndex(tag: string, parts: readonly PlatformImage[]): Promise<string> {
    const { digest } = await this.#images.pushIndex(tag, parts, this.#transfer);
    return this.#pushed(tag, digest);
  }

  async #pushed(tag: string, digest: string): Promise<string> {
    await this.#lines.flush();
    await this.#context.log.note(this.#context.step.name, `pushed ${tag} as ${digest}`);
    return digest;
  }

  get #transfer(): TransferOptions {
    return { signal: this.#signal, logins: this.#context.logins, onLog: (line) => this.#lines.add(line) };
  }
}

/** Tag of one platform's image of several, e.g. "registry.example/app:1-linux-arm64". */
function platformTag(tag: string, platform: string): string {
  const isTagged = tag.lastIndexOf(":") > tag.lastIndexOf("/");
  return `${tag}${isTagged ? "" : ":latest"}-${platform.replaceAll("/", "-")}`;
}

/** Values of the build's secrets by the ids that the Dockerfile has for them. */
function secretsOf({ secrets }: StepContext, action: BuildStep): Map<string, Uint8Array> {
  return new Map(
    action.secrets.map(({ id, secret }) => {
      const value = secrets.get(secret);
      if (value === undefined)
        throw new StepFailure("INVALID", `build.secrets: the job was not given secret ${secret}`);
      return [id, value];
    }),
  );
}

/** Lines that come by callback, written in order; when the log cannot keep up, lines are dropped and counted. */
class LineLog {
  readonly #context: StepContext;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #dropped = 0;

  constructor(context: StepContext) {
    this.#context = context;
  }

  add(line: string): void {
    if (this.#waiting >= MAX_UNWRITTEN_LINES) {
      this.#dropped += 1;
      return;
    }
    this.#waiting += 1;
    const { log, step } = this.#context;
    const data = Buffer.from(`${line}\n`);
    this.#tail = this.#tail
      .then(() => log.write({ step: step.name, stream: LogStream.STDOUT, data }))
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  async flush(): Promise<void> {
    await this.#tail;
    if (this.#dropped > 0) await this.#context.log.note(this.#context.step.name, `${this.#dropped} lines were dropped`);
  }
}
