import type { Preemption } from "@kedge/scheduler";
import { runIdOf } from "./followed-runs.ts";

const NONE: ReadonlyMap<string, string> = new Map();

/** Which tasks have to make room and for whom, from the decision until the run's document says so. */
export class PreemptionOrders {
  readonly #byRun = new Map<string, Map<string, string>>();

  /** Gives the run to be told. */
  add({ key, preemptedBy }: Pick<Preemption, "key" | "preemptedBy">): string {
    const runId = runIdOf(key);
    this.#byRun.set(runId, (this.#byRun.get(runId) ?? new Map()).set(key, preemptedBy));
    return runId;
  }

  /** Forgets what a task was told, if anything. */
  remove(runId: string, taskId: string): void {
    const orders = this.#byRun.get(runId);
    if (orders?.delete(taskId) && orders.size === 0) this.#byRun.delete(runId);
  }

  has(runId: string): boolean {
    return this.#byRun.has(runId);
  }

  /** "<run>/<job>", or the deployment, that gets the room of each of the run's tasks that have to end, by task. */
  of(runId: string): ReadonlyMap<string, string> {
    return this.#byRun.get(runId) ?? NONE;
  }

  clear(): void {
    this.#byRun.clear();
  }
}
