import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isKedgeError } from "@kedge/domain";
import type { Logger } from "@kedge/kernel";
import type { Runtime } from "@kedge/runtime";
import { removeSecretFiles } from "../secrets/secrets-folder.ts";
import { serviceWorkloadId } from "../services/job-service.ts";
import { taskLabels, taskNetwork, workloadId } from "../steps/run-step.ts";
import type { StepRuntimes } from "../steps/step-context.ts";
import { emptyAsRoot } from "./empty-as-root.ts";
import { imageOf, planOf } from "./job-plan.ts";
import type { TaskRecord } from "./task-record.ts";
import { removeWorkspace } from "./workspace.ts";

/** What is left of a task that has ended. */
export interface TaskRemains {
  readonly record: TaskRecord;
  readonly runtimes: StepRuntimes;
  /** Leave the workspace on the disk. */
  readonly keepWorkspaces: boolean;
  readonly logger: Logger;
}

/** Ends and removes all that a task left: workloads, network, workspace, record. Safe to repeat. */
export async function cleanUpTask(remains: TaskRemains): Promise<void> {
  const { record, runtimes, keepWorkspaces, logger } = remains;
  const { taskId } = record.ref;
  await removeWorkloads(record, runtimes);
  await removeSecretFiles(record.directory);
  if (imageOfTask(record) !== undefined) {
    await runtimes.networks?.remove(taskNetwork(taskId)).catch((error: unknown) => {
      logger.warn({ err: error, taskId }, "network not removed");
    });
  }
  // First: without it the task is forgotten, whatever becomes of its files.
  await rm(join(record.directory, "state.json"), { force: true });
  if (!keepWorkspaces) await removeFolder(remains);
}

/** By their ids, which follow from the steps: a list of all workloads would cost each task what all of them hold. */
async function removeWorkloads(record: TaskRecord, { process, docker }: StepRuntimes): Promise<void> {
  const { job } = record.offer;
  for (const index of (job?.services ?? []).keys()) {
    await remove(docker, serviceWorkloadId(record.ref.taskId, index));
  }
  for (const { step, index } of planOf(job)) {
    if (step.action.case !== "run") continue;
    const runtime = imageOf(step, job) === "" ? process : docker;
    await remove(runtime, workloadId(record.ref.taskId, index));
  }
}

async function remove(runtime: Runtime | undefined, id: string): Promise<void> {
  await runtime?.remove(id).catch((error: unknown) => {
    // Without an engine there is nothing of it to remove; orphans are looked for again.
    if (!isKedgeError(error, "DOCKER_UNAVAILABLE")) throw error;
  });
}

/** An image that the task's containers run in; undefined when it has none. */
function imageOfTask({ offer: { job } }: TaskRecord): string | undefined {
  const images = planOf(job).map(({ step }) => imageOf(step, job));
  return [...images, ...(job?.services ?? []).map(({ image }) => image)].find((image) => image !== "");
}

/** What the agent itself may not remove a container can; what even that cannot stays, and is said. Never throws. */
async function removeFolder({ record, runtimes, logger }: TaskRemains): Promise<void> {
  const { directory, workspace, ref } = record;
  try {
    if (await removeWorkspace(directory)) return;
    const image = imageOfTask(record);
    const { docker } = runtimes;
    if (image !== undefined && docker !== undefined) {
      const labels = taskLabels(ref, directory);
      await emptyAsRoot({ path: workspace, id: `${ref.taskId}.clean`, labels, docker, image });
    }
    if (await removeWorkspace(directory)) return;
    logger.warn({ taskId: ref.taskId, directory }, "files of another user are left: remove the folder as root");
  } catch (error) {
    logger.warn({ err: error, taskId: ref.taskId, directory }, "folder not removed");
  }
}
