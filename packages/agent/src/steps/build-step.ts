import { type BuildStep, LogStream } from "@kedge/proto";
import { resolveInside } from "../tasks/workspace.ts";
import type { StepContext, StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";

const MAX_UNWRITTEN_LINES = 1000;

/**
 * Builds an image from a folder of the workspace and, if asked to, pushes it.
 * Outputs: image (the first tag), image_id, and digest when it was pushed.
 */
export async function buildStep(context: StepContext, action: BuildStep): Promise<StepResult> {
  const { workspace, runtimes, ref, step } = context;
  if (runtimes.images === undefined) throw new StepFailure("INFRASTRUCTURE", "this node has no Docker Engine");
  const [image] = action.tags;
  if (image === undefined) throw new StepFailure("INVALID", "build: the step has no tag");
  const [platform, another] = action.platforms;
  if (another !== undefined) {
    const message =
      "build.platforms: one step builds for one platform; give each platform a step and a tag, and join them in a run step";
    throw new StepFailure("INVALID", message);
  }
  const contextDir = await resolveInside(workspace, action.context || ".", "build.context");
  const lines = new LineLog(context);
  const signal = AbortSignal.any([context.signal, context.detached]);
  const result = await runtimes.images.build({
    contextDir,
    workspace,
    args: action.args,
    tags: action.tags,
    noCache: action.noCache,
    labels: { "kedge.run": ref.runId, "kedge.job": ref.job },
    signal,
    onLog: (line) => lines.add(line),
    ...(action.dockerfile === "" ? {} : { dockerfile: action.dockerfile }),
    ...(action.target === "" ? {} : { target: action.target }),
    ...(action.secrets.length === 0 ? {} : { secrets: secretsOf(context, action) }),
    ...(action.cacheFrom.length === 0 ? {} : { cacheFrom: action.cacheFrom }),
    ...(platform === undefined ? {} : { platform }),
  });
  await lines.flush();
  if (result.kind === "failed") {
    throw new StepFailure("EXIT_CODE", `build: ${result.message}`, { exitCode: result.exitCode });
  }
  const outputs: Record<string, string> = { image, image_id: result.imageId };
  if (action.push) {
    for (const tag of action.tags) {
      const { digest } = await runtimes.images.push(tag, { signal, onLog: (line) => lines.add(line) });
      await lines.flush();
      await context.log.note(step.name, `pushed ${tag} as ${digest}`);
      outputs["digest"] ??= digest;
    }
  }
  return { outputs };
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
