import type { Cluster } from "../cluster.ts";
import { compileDemand } from "../compiled-demand.ts";
import type { Demand } from "../demand.ts";
import { matchObstacle } from "../obstacle.ts";
import { fits } from "../place.ts";
import type { Preemption } from "./admission-types.ts";
import { clusterAmounts } from "./amounts.ts";
import type { Holds } from "./holds.ts";
import type { Ledger } from "./ledger.ts";
import { leastEviction } from "./preemption.ts";
import { claimOptions, SetAside } from "./set-aside.ts";

/** Room that something other than a job wants, and has not found. */
export interface RoomWish {
  /** Who wants it, e.g. a deployment; not the name of a job. */
  readonly name: string;
  /** One for each place that is missing. Those with the same key are alike. */
  readonly demands: readonly Demand[];
  /** -100 to 100; jobs of lower priority may be told to end. */
  readonly priority: number;
  readonly nowMs: number;
}

/** What is done about a wish. */
export interface RoomInMaking {
  /** Jobs to end, told now for the first time. */
  readonly preempted: readonly Preemption[];
  /** Where room is held, once for each place. */
  readonly nodeIds: readonly string[];
  /** Room is not wanted any more and was given back. */
  readonly isGivenBack: boolean;
}

/** Where room that was made has become free. */
export interface RoomMade {
  readonly nodeId: string;
  readonly gpuIndices: readonly number[];
}

interface Claim {
  readonly key: string;
  readonly nodeId: string;
  readonly demand: Demand;
}

/**
 * Room made for what is no job and never ends. Unlike a job's hold it is claimed in full while those who have to go are
 * still there: as they go it becomes free for its claimant, and never for anybody else.
 */
export class MadeRoom {
  readonly #cluster: Cluster;
  readonly #ledger: Ledger;
  readonly #holds: Holds;
  readonly #byName = new Map<string, readonly Claim[]>();
  #count = 0;

  constructor(cluster: Cluster, ledger: Ledger, holds: Holds) {
    this.#cluster = cluster;
    this.#ledger = ledger;
    this.#holds = holds;
  }

  /** Makes the claims of a name those it wishes, as far as jobs can be ended for them. */
  make({ name, demands, priority, nowMs }: RoomWish): RoomInMaking {
    const before = this.#byName.get(name) ?? [];
    const missing = [...demands];
    const kept = before.filter((claim) => this.#isBeingMade(name, claim) && takeAlike(missing, claim.demand));
    const dropped = before.filter((claim) => !kept.includes(claim));
    for (const { key } of dropped) this.#cluster.release(key);
    this.#set(name, kept);
    const preempted: Preemption[] = [];
    const vain = new Set<string>();
    for (const demand of missing) {
      if (vain.has(demand.key) || this.#adopt(name, demand)) continue;
      const evicted = this.#evict({ name, demand, priority, nowMs });
      preempted.push(...evicted);
      if (evicted.length === 0) vain.add(demand.key);
    }
    const nodeIds = (this.#byName.get(name) ?? []).map(({ nodeId }) => nodeId);
    return { preempted, nodeIds, isGivenBack: dropped.length > 0 };
  }

  /** Ends a claim on room that is free by now; undefined, and the claim stays, while there is none. */
  take(name: string, demand: Demand): RoomMade | undefined {
    const claims = this.#byName.get(name) ?? [];
    for (const claim of claims) {
      if (claim.demand.key !== demand.key) continue;
      const gpuIndices = this.#cluster.reservation(claim.key)?.gpuIndices ?? [];
      this.#cluster.release(claim.key);
      const found = fits(this.#cluster, claim.nodeId, demand);
      if (found.kind !== "fits") {
        this.#reserve(name, claim, gpuIndices);
        continue;
      }
      this.#set(
        name,
        claims.filter((other) => other !== claim),
      );
      return { nodeId: claim.nodeId, gpuIndices: found.gpuIndices };
    }
    return undefined;
  }

  /** Somebody has still to go, and the node is still one for it. */
  #isBeingMade(name: string, { nodeId, demand }: Claim): boolean {
    const entry = this.#cluster.entry(nodeId);
    if (entry === undefined || matchObstacle(entry, compileDemand(demand)) !== undefined) return false;
    return this.#victims(name, nodeId).length > 0;
  }

  /** Claims room where jobs were told to end for the name already, before a restart for one. */
  #adopt(name: string, demand: Demand): boolean {
    const nodeIds = new Set(this.#ledger.running.victimsOf(name).map(({ job }) => job.nodeId));
    return [...nodeIds].sort().some((nodeId) => this.#claim(name, nodeId, demand));
  }

  #evict({ name, demand, priority, nowMs }: Omit<RoomWish, "demands"> & { readonly demand: Demand }): Preemption[] {
    const { running, rules } = this.#ledger;
    if (!rules.preempts || !running.hasBelow(priority)) return [];
    const cluster = this.#cluster;
    const { total } = clusterAmounts(cluster);
    const site = { cluster, running, holds: this.#holds, total, nowMs, known: new Map() };
    const eviction = leastEviction(site, { demand, priority });
    if (eviction === undefined) return [];
    const preempted = eviction.victims.map(({ job }) => this.#ledger.preempt(job, { name, priority }));
    this.#claim(name, eviction.nodeId, demand);
    return preempted;
  }

  /** False when it would not fit even after all that ends for the name. */
  #claim(name: string, nodeId: string, demand: Demand): boolean {
    const aside = new SetAside(this.#cluster);
    for (const { job } of this.#victims(name, nodeId)) aside.take(job.key, job.demand);
    const found = fits(this.#cluster, nodeId, demand);
    aside.putAllBack();
    if (found.kind !== "fits") return false;
    const claim = { key: `room:${demand.key}:${this.#count++}`, nodeId, demand };
    this.#reserve(name, claim, found.gpuIndices);
    this.#set(name, [...(this.#byName.get(name) ?? []), claim]);
    return true;
  }

  #victims(name: string, nodeId: string) {
    return this.#ledger.running.victimsOf(name).filter(({ job }) => job.nodeId === nodeId);
  }

  #reserve(name: string, { key, nodeId, demand }: Claim, gpuIndices: readonly number[]): void {
    this.#cluster.reserve(nodeId, key, demand.resources, { ...claimOptions(demand, gpuIndices), heldFor: name });
  }

  #set(name: string, claims: readonly Claim[]): void {
    if (claims.length > 0) this.#byName.set(name, claims);
    else this.#byName.delete(name);
    this.#ledger.noteClaimant(name, claims.length > 0);
  }
}

/** Takes one demand out that has the key of another; false when there is none. */
function takeAlike(demands: Demand[], { key }: Demand): boolean {
  const at = demands.findIndex((demand) => demand.key === key);
  if (at >= 0) demands.splice(at, 1);
  return at >= 0;
}
