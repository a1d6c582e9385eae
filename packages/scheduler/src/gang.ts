import type { PlacementExplanation, WorkloadAffinity } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import { compileDemand } from "./compiled-demand.ts";
import type { Demand, PlacedDemand } from "./demand.ts";
import { type Candidate, isBetter } from "./demand-class.ts";
import { demandShape } from "./demand-classes.ts";
import { claimedMilli } from "./gpu.ts";
import { findObstacle } from "./obstacle.ts";
import { place, placedOn } from "./place.ts";
import { scoreNode } from "./score.ts";

/** Looks at nodes, in all, before a gang that does not fit greedily counts as unplaceable. */
const MAX_LOOKS = 100_000;

/** Where all members of a gang go, in the order they were given, or which of them fits nowhere with the others placed. */
export type GangResult =
  | { readonly kind: "placed"; readonly placements: readonly PlacedDemand[] }
  | { readonly kind: "unplaced"; readonly index: number; readonly explanation: PlacementExplanation };

/**
 * Places demands all or none; the cluster is as it was afterwards, so call `reserve` with each. The member that asks most
 * comes first, each on its best node; where that leaves one out, other nodes are tried for the members before it, within a
 * bound: in a big cluster a gang may be refused that would fit in some contrived way.
 */
export function placeGang(cluster: Cluster, demands: readonly Demand[]): GangResult {
  const order = demands.map((_, i) => i).sort((a, b) => sizeOf(demands[b]) - sizeOf(demands[a]) || a - b);
  const attempt = new GangAttempt(cluster, demands, order);
  const greedy = attempt.greedily();
  if (greedy.kind === "placed" || areAlike(demands)) return greedy;
  return attempt.exhaustively() ?? greedy;
}

/** Members that ask the same of any node fit greedily or not at all, unless it matters to them where the others are. */
function areAlike(demands: readonly Demand[]): boolean {
  const minds = demands.some(
    ({ placement }) => placement?.spread !== undefined || placement?.workloads.some(isRequired),
  );
  return !minds && new Set(demands.map((demand) => demandShape(compileDemand(demand)))).size === 1;
}

const isRequired = ({ required }: WorkloadAffinity): boolean => required;

class GangAttempt {
  readonly #cluster: Cluster;
  readonly #demands: readonly Demand[];
  readonly #order: readonly number[];
  readonly #placed = new Map<number, PlacedDemand>();
  #looks = 0;

  constructor(cluster: Cluster, demands: readonly Demand[], order: readonly number[]) {
    this.#cluster = cluster;
    this.#demands = demands;
    this.#order = order;
  }

  greedily(): GangResult {
    try {
      for (const index of this.#order) {
        const demand = this.#demand(index);
        const result = place(this.#cluster, demand);
        if (result.kind === "unplaced") return { kind: "unplaced", index, explanation: result.explanation };
        this.#take(index, demand, result);
      }
      return this.#all();
    } finally {
      this.#giveBack();
    }
  }

  /** Depth first over the nodes of each member, best first. */
  exhaustively(): GangResult | undefined {
    try {
      return this.#search(0) ? this.#all() : undefined;
    } finally {
      this.#giveBack();
    }
  }

  #search(depth: number): boolean {
    const index = this.#order[depth];
    if (index === undefined) return true;
    const demand = this.#demand(index);
    const compiled = compileDemand(demand);
    for (const { entry, score } of this.#candidates(demand)) {
      if (this.#looks > MAX_LOOKS) return false;
      this.#take(index, demand, placedOn(entry, compiled, score));
      if (this.#search(depth + 1)) return true;
      this.#placed.delete(index);
      this.#cluster.release(tentative(index));
    }
    return false;
  }

  /** Nodes for a member now, best first. */
  #candidates(demand: Demand): Candidate[] {
    const compiled = compileDemand(demand);
    const limits = this.#cluster.spreadOf(compiled);
    const candidates: Candidate[] = [];
    this.#looks += this.#cluster.size;
    for (const entry of this.#cluster.entries()) {
      if (findObstacle(entry, compiled, limits) !== undefined) continue;
      candidates.push({ entry, score: scoreNode(entry, compiled) });
    }
    return candidates.sort((a, b) => (isBetter(a, b) ? -1 : 1));
  }

  #demand(index: number): Demand {
    const demand = this.#demands[index];
    if (demand === undefined) throw new RangeError(`no demand ${index}`);
    return demand;
  }

  #take(index: number, demand: Demand, result: PlacedDemand): void {
    const { spreadKey, workload } = demand;
    const options = { gpuIndices: result.gpuIndices, spreadKey, workload };
    this.#cluster.reserve(result.nodeId, tentative(index), demand.resources, options);
    this.#placed.set(index, result);
  }

  #all(): GangResult {
    const placements = this.#demands
      .map((_, index) => this.#placed.get(index))
      .filter((placed) => placed !== undefined);
    return { kind: "placed", placements };
  }

  #giveBack(): void {
    for (const index of this.#placed.keys()) this.#cluster.release(tentative(index));
    this.#placed.clear();
  }
}

/** Keys of tasks and replicas hold no colon. */
const tentative = (index: number): string => `gang:${index}`;

/** A rough order of how hard a demand is to place: devices, then CPU and memory. */
function sizeOf(demand: Demand | undefined): number {
  const { gpu, cpuMilli = 0, memoryMib = 0 } = demand?.resources ?? {};
  return (gpu === undefined ? 0 : claimedMilli(gpu) * 1e3) + cpuMilli / 1e3 + memoryMib / 1e4;
}
