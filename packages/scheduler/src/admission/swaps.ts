import type { Cluster } from "../cluster.ts";
import type { Placed } from "./admission-types.ts";
import type { Holds } from "./holds.ts";
import type { Unit } from "./unit.ts";
import { type Expendable, leastVictims, totalHarm } from "./victims.ts";

/** Nodes looked at for one exchange. */
const MAX_NODES = 64;
/** By how much an exchange has to be worth more. */
const MIN_GAIN = 1e-6;

/** A single job that was placed in this pass, and what it was worth when it was. */
export interface Exchangeable {
  readonly unit: Unit;
  readonly placed: Placed;
  readonly value: number;
}

/**
 * The jobs, all on one node, that are worth less together than one that found no room, and whose room it fits: those with
 * which most is gained. Nodes with holds are left out. This is the swap step of a knapsack heuristic, with the nodes' real
 * limits instead of sums.
 */
export function bestExchange(
  { cluster, holds }: { readonly cluster: Cluster; readonly holds: Holds },
  unit: Unit,
  value: number,
  placed: readonly Exchangeable[],
): readonly Unit[] | undefined {
  let best: { readonly cost: number; readonly units: readonly Unit[] } | undefined;
  for (const [nodeId, cheaper] of byNode(placed, value, holds)) {
    const victims = leastVictims(cluster, nodeId, unit.first.demand, cheaper);
    if (victims === undefined || victims.length === 0) continue;
    const [cost = 0] = totalHarm(victims);
    if (cost * (1 + MIN_GAIN) < Math.min(value, best?.cost ?? value))
      best = { cost, units: victims.map((one) => one.unit) };
  }
  return best?.units;
}

type Victim = Expendable & { readonly unit: Unit };

function byNode(placed: readonly Exchangeable[], value: number, holds: Holds): ReadonlyMap<string, Victim[]> {
  const nodes = new Map<string, Victim[]>();
  for (const one of placed) {
    const { nodeId, job } = one.placed;
    if (one.value >= value || holds.on(nodeId).length > 0) continue;
    const victims = nodes.get(nodeId);
    if (victims === undefined && nodes.size === MAX_NODES) continue;
    const victim = { key: job.key, demand: job.demand, harm: [one.value], unit: one.unit };
    if (victims === undefined) nodes.set(nodeId, [victim]);
    else victims.push(victim);
  }
  return nodes;
}
