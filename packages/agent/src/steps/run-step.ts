import { dirname } from "node:path";
import type { JobSpec, ResourceRequest, RunStep, TaskRefFull } from "@kedge/proto";
import type { Exit, Runtime, WorkloadLimits, WorkloadSpec } from "@kedge/runtime";
import { cachesHome } from "../files/known-cache.ts";
import { CONTAINER_SECRETS } from "../secrets/secrets-folder.ts";
import { noteContainer } from "./container-note.ts";
import { type StepContext, type StepResult, stepEnvironment } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";
import { copyWorkloadLog } from "./workload-log.ts";

const GRACE_MS = 10_000;

/** Name of the workload of a task's step; the same for ever, so that starting it again adopts it. */
export function workloadId(taskId: string, index: number): string {
  return `${taskId}.${index}`;
}

/**
 * What tells whose a task's workloads and networks are: two installations may call their nodes the same on one machine.
 *
 * @param directory the task's own folder.
 */
export function taskLabels({ nodeId, taskId }: TaskRefFull, directory: string): Readonly<Record<string, string>> {
  return { "kedge.node": nodeId, "kedge.task": taskId, "kedge.tasks": dirname(directory) };
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
  const command = action.script === "" ? action.command : ["sh", "-eu", "-c", action.script];
  if (command.length === 0) throw new StepFailure("INVALID", "the step has neither script nor command");
  return runCommand(context, command, action.image || context.offer.job?.image || "");
}

/**
 * Runs a command as the step's workload, see runStep.
 *
 * @param image empty: as a process of the node.
 */
export async function runCommand(context: StepContext, command: readonly string[], image: string): Promise<StepResult> {
  const { runtime, spec } = await specify(context, command, image);
  context.signal.throwIfAborted();
  await startWorkload(runtime, spec, context);
  const exit = await follow(runtime, spec.id, context);
  assertSuccess(exit);
  return { outputs: {} };
}

async function specify(
  context: StepContext,
  command: readonly string[],
  image: string,
): Promise<{ runtime: Runtime; spec: WorkloadSpec }> {
  const { ref, index, workspace, runtimes, flags, secretsFolder } = context;
  const ownLabels = taskLabels(ref, dirname(workspace));
  const labels = { ...ownLabels, "kedge.step": String(index) };
  const gpus = context.gpus === undefined ? {} : { gpus: context.gpus };
  const common = { id: workloadId(ref.taskId, index), labels, command, workspace, ...gpus };
  if (image === "") {
    if (runtimes.process === undefined) throw new StepFailure("INFRASTRUCTURE", "this node runs no plain processes");
    const env = stepEnvironment(context, { workspace, flagsUrl: flags.url, secretsFolder, services: context.services });
    return { runtime: runtimes.process, spec: { ...common, env } };
  }
  if (runtimes.docker === undefined || runtimes.networks === undefined) {
    throw new StepFailure("INFRASTRUCTURE", "this node has no Docker Engine");
  }
  const network = taskNetwork(ref.taskId);
  await runtimes.networks.ensure(network, ownLabels);
  const names = new Map([...context.services.keys()].map((name) => [name, name]));
  const flagsUrl = await flags.containerUrl();
  const inside = secretsFolder === undefined ? undefined : CONTAINER_SECRETS;
  const mounts =
    secretsFolder === undefined ? [] : [{ source: secretsFolder, target: CONTAINER_SECRETS, readOnly: true }];
  const surroundings = { workspace: "/workspace", flagsUrl, secretsFolder: inside, services: names };
  // A job that caches parts of its HOME has it where they are; a process has so anyway.
  const home = cachesHome(context.offer.job?.caches ?? []) ? { HOME: "/workspace" } : {};
  const pulled = pullOf(context.offer.job);
  const env = { ...home, ...stepEnvironment(context, surroundings) };
  return {
    runtime: runtimes.docker,
    spec: {
      ...common,
      image,
      ...pulled,
      logins: context.logins,
      network,
      mounts,
      env,
      limits: limitsOf(context.offer.job?.resources),
    },
  };
}

/** When a job's images are pulled. */
export function pullOf(job: JobSpec | undefined): Pick<WorkloadSpec, "pull"> {
  return job?.alwaysPull === true ? { pull: "always" } : {};
}

/** What a container may use of its node at most. */
export function limitsOf(resources: ResourceRequest | undefined): WorkloadLimits {
  return {
    ...(resources !== undefined && resources.cpuMilli > 0 ? { cpuMilli: resources.cpuMilli } : {}),
    ...(resources !== undefined && resources.memoryMib > 0 ? { memoryMib: resources.memoryMib } : {}),
  };
}

async function startWorkload(runtime: Runtime, spec: WorkloadSpec, context: StepContext): Promise<void> {
  const workload = await runtime.start(spec, AbortSignal.any([context.signal, context.detached]));
  const { ref, index, workspace, clock, logger } = context;
  if (spec.image !== undefined) {
    // Beside the step, which goes on.
    const place = { taskId: ref.taskId, directory: dirname(workspace), name: String(index) };
    void noteContainer({ runtime, id: spec.id, ...place, clock, logger });
  }
  context.logger.debug({ workload: workload.id, pid: workload.pid }, "step started");
}

async function follow(runtime: Runtime, id: string, context: StepContext): Promise<Exit> {
  const { signal, detached } = context;
  const { log, step } = context;
  const copied = copyWorkloadLog({ runtime, id, step: step.name, log, signal: detached });
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

function assertSuccess(exit: Exit): void {
  const { exitCode } = exit;
  if (exit.outOfMemory) throw new StepFailure("OUT_OF_MEMORY", "used more memory than its limit", { exitCode });
  if (exitCode === 0) return;
  const suffix = exit.signal === undefined ? "" : ` (${exit.signal})`;
  throw new StepFailure("EXIT_CODE", `exited with code ${exitCode}${suffix}`, { exitCode });
}
