import type { CompiledDemand, Domain } from "./compiled-demand.ts";
import { labelOf } from "./label-constraints.ts";
import { hashOf, type NodeEntry } from "./node-entry.ts";
import { matchObstacle } from "./obstacle.ts";

/** Copies for each value of the label that they are spread over. */
export interface SpreadLimits {
  readonly label: string;
  /** Copies on the nodes with this value. */
  copies(value: string | undefined): number;
  /** Tells whether one more copy there keeps the values even enough. */
  allows(value: string | undefined): boolean;
  /** The values that one more copy may go to, fewest copies first; nodes without the label come last. */
  readonly domains: readonly Domain[];
}

/** A value of a label; undefined: the nodes that do not have it. */
type Value = string | undefined;

/** The values of the label to spread over that nodes matching a demand have, whether or not there is room: O(nodes). */
export function spreadValues(entries: Iterable<NodeEntry>, compiled: CompiledDemand): ReadonlySet<Value> {
  const label = compiled.demand.placement?.spread?.label ?? "";
  const values = new Set<Value>();
  for (const entry of entries) {
    const value = labelOf(entry.node.labels, label);
    if (!values.has(value) && matchObstacle(entry, compiled) === undefined) values.add(value);
  }
  return values;
}

/**
 * How the copies of a demand are spread now; undefined when it does not ask for it. Nodes without the label take copies
 * only of a mere wish, after all others.
 */
export function spreadLimits(
  compiled: CompiledDemand,
  values: ReadonlySet<Value>,
  copiesOn: Iterable<readonly [NodeEntry, number]>,
): SpreadLimits | undefined {
  const { placement, spreadKey } = compiled.demand;
  if (placement?.spread === undefined || spreadKey === undefined) return undefined;
  const { label, maxSkew } = placement.spread;
  const copies = new Map<Value, number>([...values].map((value) => [value, 0]));
  for (const [entry, count] of copiesOn) {
    const value = labelOf(entry.node.labels, label);
    if (copies.has(value)) copies.set(value, (copies.get(value) ?? 0) + count);
  }
  const least = Math.min(...[...copies].filter(([value]) => value !== undefined).map(([, count]) => count));
  const allows = (value: Value): boolean =>
    maxSkew === 0 || (value !== undefined && (copies.get(value) ?? 0) + 1 - least <= maxSkew);
  const order = [...copies.keys()].filter(allows).sort((a, b) => compareValues(a, b, copies));
  return {
    label,
    copies: (value) => copies.get(value) ?? 0,
    allows,
    domains: order.map((value) => ({ label, value })),
  };
}

function compareValues(a: Value, b: Value, copies: ReadonlyMap<Value, number>): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return (copies.get(a) ?? 0) - (copies.get(b) ?? 0) || hashOf(a) - hashOf(b) || (a < b ? -1 : 1);
}
