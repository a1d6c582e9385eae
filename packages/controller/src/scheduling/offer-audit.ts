import type { Cluster } from "@kedge/scheduler";
import { isOvercommitted } from "./overcommitment.ts";

/**
 * Offers that may have no room any more: others made them, or their node shrank. Those that have none are in excess until
 * they are forgotten.
 */
export class OfferAudit {
  readonly #suspects = new Map<string, { readonly runId: string; readonly nodeId: string }>();
  readonly #excess = new Set<string>();

  /** Has an offer looked at with the next `examine`. */
  suspect(taskId: string, offer: { readonly runId: string; readonly nodeId: string }): void {
    this.#suspects.set(taskId, offer);
  }

  /** Looks at the suspects; gives the runs of those that have no room. */
  examine(cluster: Cluster): ReadonlySet<string> {
    const runs = new Set<string>();
    // Ids begin with the time of submission: the oldest stay.
    for (const [taskId, { runId, nodeId }] of [...this.#suspects].sort(([a], [b]) => (a < b ? 1 : -1))) {
      if (!isOvercommitted(cluster, nodeId, this.#excess)) continue;
      this.#excess.add(taskId);
      runs.add(runId);
    }
    this.#suspects.clear();
    return runs;
  }

  isExcess(taskId: string): boolean {
    return this.#excess.has(taskId);
  }

  forget(taskId: string): void {
    this.#suspects.delete(taskId);
    this.#excess.delete(taskId);
  }

  clear(): void {
    this.#suspects.clear();
    this.#excess.clear();
  }
}
