import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { OwnFacts, WorkloadFacts } from "@kedge/analysis";
import type { Clock } from "@kedge/kernel";
import type { Heartbeat, Run, Window } from "@kedge/proto";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Stores } from "../stores.ts";
import { FactBook } from "./fact-book.ts";
import { type Fact, replicaFacts, requestFacts, taskFacts } from "./fact-sources.ts";
import { WINDOW_MS } from "./fact-window.ts";

/** Where facts about nodes come from. */
export interface NodeFactsOptions {
  readonly stores: Stores;
  readonly registry: NodeRegistry;
  readonly clock: Clock;
}

/** Keeps what happened on each node since it is judged anew, and no lies about other nodes. */
export class NodeFacts {
  readonly #options: NodeFactsOptions;
  readonly #book = new FactBook();
  /** Tasks that count already, with the time of their end. */
  readonly #tasks = new Map<string, number>();
  readonly #beatAtMs = new Map<string, number>();
  readonly #judgedSinceMs = new Map<string, number>();

  constructor(options: NodeFactsOptions) {
    this.#options = options;
  }

  /** Begins anew with what the runs' documents say. */
  restart(): void {
    this.#book.clear();
    for (const known of [this.#tasks, this.#beatAtMs, this.#judgedSinceMs]) known.clear();
    for (const [, { value }] of this.#options.stores.runs.entries()) this.noteRun(value);
  }

  noteRun(run: Run): void {
    for (const { taskId, ...fact } of taskFacts(run)) {
      if (this.#tasks.has(taskId) || this.#isOld(fact)) continue;
      this.#tasks.set(taskId, fact.atMs);
      this.#add(fact);
    }
  }

  noteHeartbeat(before: Heartbeat | undefined, heartbeat: Heartbeat): void {
    const { stores, clock } = this.#options;
    const { nodeId } = heartbeat;
    const nowMs = clock.now();
    const sinceMs = this.#beatAtMs.get(nodeId) ?? nowMs;
    this.#beatAtMs.set(nodeId, nowMs);
    if (heartbeat.replicas.length === 0) return;
    const assigned = new Set(stores.assignments.get(nodeId)?.value.replicas.map(({ replicaId }) => replicaId));
    const replicas = heartbeat.replicas.filter(({ replicaId }) => assigned.has(replicaId));
    for (const fact of replicaFacts(before, { ...heartbeat, replicas }, { nowMs, sinceMs })) this.#add(fact);
  }

  /** Takes a window of a node that serves the deployment; see that it does. */
  noteWindow(window: Window): void {
    for (const fact of requestFacts(window, this.#options.clock.now())) this.#add(fact);
  }

  /** A node that had fallen silent reports again. */
  noteReturn(nodeId: string): void {
    this.#book.addReturn(nodeId, this.#options.clock.now());
  }

  /** Forgives the nodes that are judged anew since the last time; gives them. */
  forgiveJudgedAnew(): ReadonlySet<string> {
    const anew = new Set<string>();
    for (const [nodeId, { value }] of this.#options.stores.nodes.entries()) {
      const sinceMs = value.judgedSince === undefined ? 0 : timestampMs(value.judgedSince);
      const known = this.#judgedSinceMs.get(nodeId) ?? 0;
      this.#judgedSinceMs.set(nodeId, sinceMs);
      if (sinceMs === known) continue;
      this.#book.forgive(nodeId, sinceMs);
      anew.add(nodeId);
    }
    return anew;
  }

  workloads(): readonly WorkloadFacts[] {
    const nowMs = this.#options.clock.now();
    for (const [taskId, atMs] of this.#tasks) if (atMs < nowMs - WINDOW_MS) this.#tasks.delete(taskId);
    return this.#book.workloads(nowMs);
  }

  /** What every enrolled node shows of itself. */
  own(): ReadonlyMap<string, OwnFacts> {
    const { stores, registry, clock } = this.#options;
    const returns = this.#book.returns(clock.now(), stores.nodes.size);
    const facts = new Map<string, OwnFacts>();
    for (const [nodeId] of stores.nodes.entries()) {
      const free = registry.latest(nodeId)?.freeDiskMib;
      facts.set(nodeId, {
        freeDiskMib: free === undefined ? undefined : Number(free),
        returns: returns.get(nodeId) ?? 0,
      });
    }
    return facts;
  }

  #add({ subject, atMs, trial }: Fact): void {
    this.#book.add(subject, atMs, trial);
  }

  #isOld({ subject: { nodeId }, atMs }: Fact): boolean {
    const { stores, clock } = this.#options;
    const node = stores.nodes.get(nodeId)?.value;
    const sinceMs = node?.judgedSince === undefined ? 0 : timestampMs(node.judgedSince);
    return node === undefined || atMs < sinceMs || atMs < clock.now() - WINDOW_MS;
  }
}
