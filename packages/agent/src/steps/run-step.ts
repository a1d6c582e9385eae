import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LogStream, type RunStep } from "@kedge/proto";
import type { Exit, LogOffset, Runtime, WorkloadLimits, WorkloadSpec } from "@kedge/runtime";
import { bootId, bootTimeMs } from "../node/boot-clock.ts";
import { formatIdentity, identifyProcess } from "../state/process-identity.ts";
import { type StepContext, type StepResult, stepEnvironment } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";

const GRACE_MS = 10_000;
/** USER_HZ, fixed on all Linux platforms that Node runs on. */
const MS_PER_TICK = 10;
const SAME_AGE_MS = 3000;

/** Name of the workload of a task's step; the same for ever, so that starting it again adopts it. */
export function workloadId(taskId: string, index: number): string {
  return `${taskId}.${index}`;
}

/** Name of the network that a task's containers share. */
export function taskNetwork(taskId: string): string {
  return `kedge-${taskId}`;
}

/**
 * Runs a script or command to its end. When the agent was interrupted and comes back, the running or ended workload
 * is adopted and its output goes on where it was left. The ended workload stays until the task is cleaned up, so that
 * an agent killed before it noted the end does not run it again.
 *
 * @throws StepFailure EXIT_CODE, OUT_OF_MEMORY, INVALID, or the reason of the context's signal.
 */
export async function runStep(context: StepContext, action: RunStep): Promise<StepResult> {
  const image = action.image || context.offer.job?.image || "";
  const { runtime, spec } = await specify(context, action, image);
  context.signal.throwIfAborted();
  await startWorkload(runtime, spec, context);
  const exit = await follow(runtime, spec.id, context);
  assertSuccess(exit);
  return { outputs: {} };
}

async function specify(
  context: StepContext,
  action: RunStep,
  image: string,
): Promise<{ runtime: Runtime; spec: WorkloadSpec }> {
  const { ref, index, workspace, runtimes, flags } = context;
  const command = action.script === "" ? action.command : ["sh", "-eu", "-c", action.script];
  if (command.length === 0) throw new StepFailure("INVALID", "the step has neither script nor command");
  const labels = { "kedge.node": ref.nodeId, "kedge.task": ref.taskId, "kedge.step": String(index) };
  const gpus = context.gpus === undefined ? {} : { gpus: context.gpus };
  const common = { id: workloadId(ref.taskId, index), labels, command, workspace, ...gpus };
  if (image === "") {
    if (runtimes.process === undefined) throw new StepFailure("INFRASTRUCTURE", "this node runs no plain processes");
    const env = stepEnvironment(context, { workspace, flagsUrl: flags.url });
    return { runtime: runtimes.process, spec: { ...common, env } };
  }
  if (runtimes.docker === undefined || runtimes.networks === undefined) {
    throw new StepFailure("INFRASTRUCTURE", "this node has no Docker Engine");
  }
  const network = taskNetwork(ref.taskId);
  await runtimes.networks.ensure(network, { "kedge.node": ref.nodeId, "kedge.task": ref.taskId });
  const env = stepEnvironment(context, { workspace: "/workspace", flagsUrl: await flags.containerUrl() });
  return { runtime: runtimes.docker, spec: { ...common, image, network, env, limits: limitsOf(context) } };
}

function limitsOf(context: StepContext): WorkloadLimits {
  const resources = context.offer.job?.resources;
  return {
    ...(resources !== undefined && resources.cpuMilli > 0 ? { cpuMilli: resources.cpuMilli } : {}),
    ...(resources !== undefined && resources.memoryMib > 0 ? { memoryMib: resources.memoryMib } : {}),
  };
}

async function startWorkload(runtime: Runtime, spec: WorkloadSpec, context: StepContext): Promise<void> {
  const workload = await runtime.start(spec, AbortSignal.any([context.signal, context.detached]));
  if (spec.image !== undefined) void noteContainer(runtime, spec.id, context);
  context.logger.debug({ workload: workload.id, pid: workload.pid }, "step started");
}

/** Tells the watchdog which process of this machine is the container's first one; beside the step, which goes on. */
async function noteContainer(runtime: Runtime, id: string, context: StepContext): Promise<void> {
  const { workspace, index, clock, logger, ref } = context;
  try {
    const found = await runtime.list({ "kedge.task": ref.taskId, "kedge.step": String(index) });
    const { pid, startedAtMs = 0 } = found.find((workload) => workload.id === id) ?? {};
    const identity = pid === undefined ? undefined : await identifyProcess(pid);
    if (identity === undefined) return;
    // To an agent that sees other process ids than the engine this is somebody else's process, of another age.
    const ageMs = bootTimeMs() - Number(identity.startTicks) * MS_PER_TICK;
    if (Math.abs(ageMs - (clock.now() - startedAtMs)) > SAME_AGE_MS) return;
    const note = join(dirname(workspace), `container.${index}`);
    await writeFile(note, `${formatIdentity(identity)} ${bootId()}\n`, { mode: 0o600 });
  } catch (error) {
    // The task may have ended just now, and its folder be gone.
    logger.debug({ err: error, workload: id }, "container not noted for the watchdog");
  }
}

async function follow(runtime: Runtime, id: string, context: StepContext): Promise<Exit> {
  const { signal, detached } = context;
  const copied = copyLog(runtime, id, context, detached);
  copied.catch(() => {}); // Awaited below, but only after the workload's end.
  try {
    const exit = await runtime.wait(id, AbortSignal.any([signal, detached]));
    await copied;
    return exit;
  } catch (error) {
    if (detached.aborted) {
      await copied.catch(() => {}); // The next agent reads on from the journal.
      throw error;
    }
    if (!signal.aborted) throw error;
    await runtime.stop(id, signal.reason instanceof StepFailure ? GRACE_MS : 0);
    await copied;
    throw signal.reason;
  }
}

async function copyLog(runtime: Runtime, id: string, context: StepContext, signal: AbortSignal): Promise<void> {
  const { log, logPosition, step } = context;
  const fromOffset = logPosition.workload === id ? parseCursor(logPosition.cursor) : undefined;
  const options = fromOffset === undefined ? { signal } : { signal, fromOffset };
  for await (const { stream, data, offset } of runtime.logs(id, options)) {
    const cursor = `${offset.stdout}:${offset.stderr}`;
    const kind = stream === "stdout" ? LogStream.STDOUT : LogStream.STDERR;
    await log.write({ step: step.name, stream: kind, data, workload: id, cursor });
  }
}

function parseCursor(cursor: string): LogOffset | undefined {
  const match = /^(\d+):(\d+)$/.exec(cursor);
  return match === null ? undefined : { stdout: Number(match[1]), stderr: Number(match[2]) };
}

function assertSuccess(exit: Exit): void {
  const { exitCode } = exit;
  if (exit.outOfMemory) throw new StepFailure("OUT_OF_MEMORY", "used more memory than its limit", { exitCode });
  if (exitCode === 0) return;
  const suffix = exit.signal === undefined ? "" : ` (${exit.signal})`;
  throw new StepFailure("EXIT_CODE", `exited with code ${exitCode}${suffix}`, { exitCode });
}
