import type { ComponentGroup } from "./cause-types.ts";
import type { Involvement } from "./propagation.ts";

/** From here on a component counts as anomalous when they are counted for people. */
const ANOMALOUS = 0.5;

/** How much a group's members have the anomaly in common. */
export interface CommonFactor {
  /** Mean anomaly of the members above that of their peers elsewhere, 0 to 1; 0 for groups of one, which tell nothing new. */
  readonly contrast: number;
  readonly anomalousInside: number;
  readonly inside: number;
  readonly anomalousOutside: number;
  readonly outside: number;
}

/**
 * Compares a group's members with the members of its sibling groups (same kind): a node or revision is suspect when what
 * is on it is anomalous and what is on the others is not.
 */
export function commonFactor(
  group: ComponentGroup,
  groups: readonly ComponentGroup[],
  involved: ReadonlyMap<string, Involvement>,
): CommonFactor {
  const members = new Set(group.members);
  const peers = new Set(groups.filter(({ kind }) => kind === group.kind).flatMap((sibling) => sibling.members));
  const anomaly = (name: string): number => involved.get(name)?.anomaly ?? 0;
  const inside = [...members].map(anomaly);
  const outside = [...peers].filter((name) => !members.has(name)).map(anomaly);
  const contrast = Math.max(0, mean(inside) - mean(outside));
  return {
    contrast: inside.length < 2 ? 0 : contrast,
    anomalousInside: inside.filter((each) => each >= ANOMALOUS).length,
    inside: inside.length,
    anomalousOutside: outside.filter((each) => each >= ANOMALOUS).length,
    outside: outside.length,
  };
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
