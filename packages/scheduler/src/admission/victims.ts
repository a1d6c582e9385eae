import type { Cluster } from "../cluster.ts";
import type { Demand } from "../demand.ts";
import { fits } from "../place.ts";
import { SetAside } from "./set-aside.ts";

/** Something that may have to go, and what it costs; harms are compared from the first number on. */
export interface Expendable {
  readonly key: string;
  readonly demand: Demand;
  readonly harm: readonly number[];
}

/**
 * Which of these reservations have to go from a node for a demand to fit it: without any one of them it would not fit.
 * All go at first; then the one that costs most is kept where that leaves room, and so on; a single one that is enough
 * and costs less than what remains is preferred. Undefined when not even all are enough; empty when it fits as it is.
 * Leaves the cluster as it was. Cost: a few times the number of reservations.
 */
export function leastVictims<T extends Expendable>(
  cluster: Cluster,
  nodeId: string,
  demand: Demand,
  expendables: readonly T[],
): readonly T[] | undefined {
  const dearestFirst = [...expendables].sort((a, b) => compareHarm(b.harm, a.harm) || (a.key < b.key ? -1 : 1));
  const isRoom = (): boolean => fits(cluster, nodeId, demand).kind === "fits";
  const aside = new SetAside(cluster);
  const take = ({ key, demand: theirs }: Expendable): void => aside.take(key, theirs);
  try {
    for (const expendable of dearestFirst) take(expendable);
    if (!isRoom()) return undefined;
    for (const expendable of dearestFirst) {
      aside.putBack(expendable.key);
      if (!isRoom()) take(expendable);
    }
    const out = new Set(aside.keys);
    const victims = dearestFirst.filter(({ key }) => out.has(key));
    aside.putAllBack();
    const total = totalHarm(victims);
    const single = dearestFirst.findLast((expendable) => {
      if (victims.length < 2 || compareHarm(expendable.harm, total) >= 0) return false;
      take(expendable);
      const isEnough = isRoom();
      aside.putBack(expendable.key);
      return isEnough;
    });
    return single === undefined ? victims : [single];
  } finally {
    aside.putAllBack();
  }
}

/** Negative when `a` costs less. */
export function compareHarm(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The sum, number by number. */
export function totalHarm(items: readonly Expendable[]): readonly number[] {
  const [first] = items;
  return (first?.harm ?? []).map((_, i) => items.reduce((sum, { harm }) => sum + (harm[i] ?? 0), 0));
}
