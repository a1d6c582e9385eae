import type { Route } from "@kedge/proto";

const WHOLE = 10_000;

/**
 * The split of a route that this node can carry now, in basis points by revision. A revision's share counts only if it
 * has a ready replica here. Otherwise it goes to the stable revision, or, when that has none either, to the remaining
 * revisions in proportion to their shares. Revisions without a share are left out; shares add up to 10,000, or the map
 * is empty when nothing ready may take traffic.
 */
export function effectiveSplit(
  route: Pick<Route, "splits" | "stableRevision">,
  readyCounts: ReadonlyMap<number, number>,
): Map<number, number> {
  const isReady = (revision: number) => (readyCounts.get(revision) ?? 0) > 0;
  const shares = new Map<number, number>();
  let orphaned = 0;
  for (const split of route.splits) {
    if (!isReady(split.revision)) orphaned += split.basisPoints;
    else if (split.basisPoints > 0) shares.set(split.revision, (shares.get(split.revision) ?? 0) + split.basisPoints);
  }
  if (orphaned > 0 && isReady(route.stableRevision)) {
    shares.set(route.stableRevision, (shares.get(route.stableRevision) ?? 0) + orphaned);
  }
  return normalised(shares);
}

/** Scales shares to 10,000 by largest remainder; ties go to the lower revision. */
function normalised(shares: ReadonlyMap<number, number>): Map<number, number> {
  const sum = [...shares.values()].reduce((total, share) => total + share, 0);
  if (sum === 0) return new Map();
  const scaled = [...shares]
    .sort(([a], [b]) => a - b)
    .map(([revision, share]) => ({ revision, floor: Math.floor((share * WHOLE) / sum), rest: (share * WHOLE) % sum }));
  let missing = WHOLE - scaled.reduce((total, entry) => total + entry.floor, 0);
  for (const entry of [...scaled].sort((a, b) => b.rest - a.rest)) {
    if (missing-- > 0) entry.floor++;
  }
  return new Map(scaled.map((entry) => [entry.revision, entry.floor]));
}
