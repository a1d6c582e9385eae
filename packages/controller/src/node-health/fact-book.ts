import type { NodeTrial, WorkloadFacts } from "@kedge/analysis";
import { FactWindow, WINDOW_MS } from "./fact-window.ts";

/** What a fact is about. */
export interface FactSubject {
  readonly kind: WorkloadFacts["kind"];
  /** The same for everything that has the same program, e.g. "vad revision 3". */
  readonly workload: string;
  readonly nodeId: string;
}

/** Workloads beyond this many are not followed; those that nothing is known of any more make room. */
const MAX_WORKLOADS = 10_000;
/** Nodes that come back within this time of each other were away for a reason that they have in common. */
const TOGETHER_MS = 15_000;

interface Entry {
  readonly workload: string;
  readonly kind: WorkloadFacts["kind"];
  readonly byNode: Map<string, FactWindow>;
}

/**
 * What happened on which node within the last quarter of an hour. In memory: a controller that starts learns tasks from
 * the runs' documents and the rest anew. What a node was set aside for is in its document.
 */
export class FactBook {
  readonly #entries = new Map<string, Entry>();
  /** When nodes that had fallen silent came back, the oldest first. */
  #returns: { readonly nodeId: string; readonly atMs: number }[] = [];

  add({ kind, workload, nodeId }: FactSubject, atMs: number, trial: NodeTrial): void {
    const key = `${kind} ${workload}`;
    const entry = this.#entries.get(key) ?? { workload, kind, byNode: new Map() };
    if (!this.#entries.has(key) && this.#entries.size >= MAX_WORKLOADS) return;
    this.#entries.set(key, entry);
    const window = entry.byNode.get(nodeId) ?? new FactWindow();
    entry.byNode.set(nodeId, window);
    window.add(atMs, trial);
  }

  addReturn(nodeId: string, atMs: number): void {
    this.#returns.push({ nodeId, atMs });
  }

  /** Forgets what a node did before a time. */
  forgive(nodeId: string, beforeMs: number): void {
    for (const { byNode } of this.#entries.values()) byNode.get(nodeId)?.dropBefore(beforeMs);
    this.#returns = this.#returns.filter((known) => known.nodeId !== nodeId || known.atMs >= beforeMs);
  }

  /** What is known at a time; older facts are dropped. */
  workloads(nowMs: number): WorkloadFacts[] {
    const facts: WorkloadFacts[] = [];
    for (const [key, { workload, kind, byNode }] of this.#entries) {
      const trials = new Map<string, NodeTrial>();
      for (const [nodeId, window] of byNode) {
        window.dropBefore(nowMs - WINDOW_MS);
        if (window.isEmpty) byNode.delete(nodeId);
        else trials.set(nodeId, window.total);
      }
      if (byNode.size === 0) this.#entries.delete(key);
      else facts.push({ workload, kind, byNode: trials });
    }
    return facts;
  }

  /** How often each node came back by itself; when half of all nodes come back together, it was not their fault. */
  returns(nowMs: number, nodeCount: number): ReadonlyMap<string, number> {
    this.#returns = this.#returns.filter(({ atMs }) => atMs >= nowMs - WINDOW_MS);
    const most = Math.max(2, nodeCount / 2);
    const counts = new Map<string, number>();
    for (const { nodeId, atMs } of this.#returns) {
      const together = this.#returns.filter((other) => Math.abs(other.atMs - atMs) <= TOGETHER_MS);
      if (new Set(together.map((other) => other.nodeId)).size >= most) continue;
      counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
    }
    return counts;
  }

  clear(): void {
    this.#entries.clear();
    this.#returns = [];
  }
}
