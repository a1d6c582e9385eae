import { isTaskEnded } from "@kedge/domain";
import { runIdOf } from "../scheduling/followed-runs.ts";
import type { Stores } from "../stores.ts";

/**
 * Tells whether a node's task needs no cancel any more: the run's document has its end, or knows no such attempt on this
 * node. What the node lists as running decides nothing: a task that has just been claimed is not listed yet.
 */
export function isTaskOver(stores: Pick<Stores, "runs">, nodeId: string, taskId: string): boolean {
  const run = stores.runs.get(runIdOf(taskId))?.value;
  const tasks = run?.jobs.flatMap((job) => job.tasks) ?? [];
  const task = tasks.find(({ id }) => id === taskId);
  return task === undefined || task.nodeId !== nodeId || isTaskEnded(task.state);
}
