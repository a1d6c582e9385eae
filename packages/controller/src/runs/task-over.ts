import { isTaskEnded } from "@kedge/domain";
import { NodeState } from "@kedge/proto";
import type { NodeRegistry } from "../nodes/registry.ts";
import { runIdOf } from "../scheduling/followed-runs.ts";
import type { Stores } from "../stores.ts";

/** What is known of runs and nodes. */
export interface TaskOverOptions {
  readonly stores: Pick<Stores, "runs">;
  readonly registry: Pick<NodeRegistry, "state" | "latest">;
}

/**
 * Tells whether a node's task needs no cancel any more: the run's document knows no such attempt on this node, or has its
 * end and the node does not list it any more. That a node does not list it decides nothing by itself: a task that has just
 * been claimed is not listed yet. One that was given up is cancelled for as long as its node lists it.
 */
export function isTaskOver({ stores, registry }: TaskOverOptions, nodeId: string, taskId: string): boolean {
  const run = stores.runs.get(runIdOf(taskId))?.value;
  const tasks = run?.jobs.flatMap((job) => job.tasks) ?? [];
  const task = tasks.find(({ id }) => id === taskId);
  if (task === undefined || task.nodeId !== nodeId) return true;
  const isListed =
    registry.state(nodeId) === NodeState.READY &&
    registry.latest(nodeId)?.runningTasks.some((listed) => listed.taskId === taskId) === true;
  return isTaskEnded(task.state) && !isListed;
}
