import type { Cluster } from "../cluster.ts";
import type { WaitingJob } from "./admission-types.ts";
import { earliestFit } from "./earliest-fit.ts";
import type { Hold, HoldKind } from "./hold.ts";
import { keptRequest } from "./kept-room.ts";
import type { RunningJobs } from "./running-jobs.ts";

/** What a hold is to be for. */
export interface HoldWish {
  readonly job: WaitingJob;
  readonly nodeId: string;
  readonly kind: HoldKind;
  readonly nowMs: number;
  /** Default: no bound. */
  readonly notBeforeMs?: number;
}

/**
 * Room held for waiting jobs (EASY backfill; Lifka 1995, with several reservations): each has a node and a time by which
 * it fits there, and keeps free what does not become free by itself. Others go around it, or through it when they have
 * ended by then.
 */
export class Holds {
  readonly #cluster: Cluster;
  readonly #running: RunningJobs;
  /** By name of the job; oldest first. */
  readonly #byName = new Map<string, Hold>();
  readonly #byNode = new Map<string, Hold[]>();

  constructor(cluster: Cluster, running: RunningJobs) {
    this.#cluster = cluster;
    this.#running = running;
  }

  get size(): number {
    return this.#byName.size;
  }

  of(name: string): Hold | undefined {
    return this.#byName.get(name);
  }

  /** Nodes on which room is held. */
  nodes(): readonly string[] {
    return [...this.#byNode.keys()];
  }

  /** Holds on a node, oldest first. */
  on(nodeId: string): readonly Hold[] {
    return this.#byNode.get(nodeId) ?? [];
  }

  /** Ends all holds, and returns them by name of the job. */
  takeAll(): ReadonlyMap<string, Hold> {
    const all = new Map(this.#byName);
    for (const name of all.keys()) this.drop(name);
    return all;
  }

  /** Ends a hold; nothing happens when there is none. */
  drop(name: string): void {
    const hold = this.#byName.get(name);
    if (hold === undefined) return;
    this.#cluster.release(hold.key);
    this.#byName.delete(name);
    const others = this.on(hold.nodeId).filter((other) => other !== hold);
    if (others.length > 0) this.#byNode.set(hold.nodeId, others);
    else this.#byNode.delete(hold.nodeId);
  }

  /** When the job would fit the node at the latest, after all that is held there already; see `earliestFit`. */
  find(wish: HoldWish): Hold | undefined {
    this.drop(wish.job.name);
    const earlier = this.on(wish.nodeId);
    for (const hold of earlier) this.#cluster.release(hold.key);
    const running = this.#running.on(wish.nodeId);
    const found = earliestFit(this.#cluster, { notBeforeMs: 0, ...wish, running, earlier });
    for (const hold of earlier) this.#reserve(hold);
    return found;
  }

  /** Holds room on a node, if the job ever fits there. */
  put(wish: HoldWish): Hold | undefined {
    const hold = this.find(wish);
    if (hold === undefined) return undefined;
    this.#byName.set(hold.job.name, hold);
    this.#byNode.set(hold.nodeId, [...this.on(hold.nodeId), hold]);
    this.#reserve(hold);
    return hold;
  }

  /** Computes the holds on a node anew: something was placed there. */
  refresh(nodeId: string, nowMs: number): void {
    const holds = this.on(nodeId);
    for (const { job } of holds) this.drop(job.name);
    for (const { job, kind, atMs } of holds) this.put({ job, nodeId, kind, nowMs, notBeforeMs: atMs });
  }

  /** Nodes on which work that ends by `endMs` is in nobody's way. */
  passable(endMs: number): readonly string[] {
    const nodes: string[] = [];
    for (const [nodeId, holds] of this.#byNode) if (holds.every(({ atMs }) => atMs >= endMs)) nodes.push(nodeId);
    return nodes;
  }

  /** Calls `look` with the room that is held on some nodes free. */
  without<T>(nodes: Iterable<string>, look: () => T): T {
    const lifted = [...nodes].flatMap((nodeId) => this.on(nodeId));
    for (const hold of lifted) this.#cluster.release(hold.key);
    try {
      return look();
    } finally {
      for (const hold of lifted) this.#reserve(hold);
    }
  }

  #reserve({ nodeId, key, job, kept }: Hold): void {
    const gpuIndices = kept.devices.map(({ index }) => index);
    const { spreadKey } = job.demand;
    this.#cluster.reserve(nodeId, key, keptRequest(kept), { gpuIndices, spreadKey, heldFor: job.name });
  }
}
