/** A request's place in the split is one of so many points, drawn at random or hashed from its user. */
export const POINTS = 1_000_000;
const WHOLE = 10_000;

/** Points from `from` to `to`, which is not in it, and the server slot that they belong to. */
export interface PointRange {
  readonly from: number;
  readonly to: number;
  readonly slot: number;
}

/**
 * Lays a split out over the points: the stable revision in the middle, the others in the order of their numbers by turns
 * from below and from above. So while one or two others grow, every point that changes hands leaves the stable revision,
 * and users move to a growing revision only. With three or more others that holds for the first on each side.
 *
 * @param shares basis points by revision, adding up to 10,000
 * @param slots server slots by revision, at least one for each revision with a share; each gets an equal part
 */
export function layOutShares(
  shares: ReadonlyMap<number, number>,
  slots: ReadonlyMap<number, readonly number[]>,
  stable: number,
): PointRange[] {
  const revisions = [...shares.keys()].sort((a, b) => a - b);
  const middle = shares.has(stable) ? stable : revisions[0];
  const ranges: PointRange[] = [];
  let [low, high] = [0, POINTS];
  for (const [turn, revision] of revisions.filter((each) => each !== middle).entries()) {
    const points = ((shares.get(revision) ?? 0) * POINTS) / WHOLE;
    const from = turn % 2 === 0 ? low : high - points;
    ranges.push(...layOutSlots(from, from + points, slots.get(revision) ?? []));
    if (turn % 2 === 0) low += points;
    else high -= points;
  }
  if (middle !== undefined) ranges.push(...layOutSlots(low, high, slots.get(middle) ?? []));
  return ranges;
}

/** Parts a range among slots as equally as whole points allow. */
export function layOutSlots(from: number, to: number, slots: readonly number[]): PointRange[] {
  const bound = (part: number): number => from + Math.floor(((to - from) * part) / slots.length);
  return slots
    .map((slot, part) => ({ from: bound(part), to: bound(part + 1), slot }))
    .filter((range) => range.to > range.from);
}

/** Shares in basis points by revision, of the points of slots that are counted. Those without points are left out. */
export function countedShares(
  ranges: readonly PointRange[],
  revisionOf: (slot: number) => number | undefined,
): Map<number, number> {
  const points = new Map<number, number>();
  let total = 0;
  for (const { from, to, slot } of ranges) {
    const revision = revisionOf(slot);
    if (revision === undefined) continue;
    points.set(revision, (points.get(revision) ?? 0) + to - from);
    total += to - from;
  }
  return new Map([...points].map(([revision, count]) => [revision, Math.round((count * WHOLE) / total)]));
}
