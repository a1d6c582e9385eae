import type { ReplicaCounts, ReplicaView } from "./observation.ts";

const NONE: ReplicaCounts = { desired: 0, ready: 0, failed: 0 };

/** All of a route's traffic, in basis points. */
export const ALL_BASIS_POINTS = 10_000;

/** A revision's replicas; zeros when it has none. */
export function countsOf(replicas: ReplicaView, revision: number): ReplicaCounts {
  return replicas.get(revision) ?? NONE;
}

/** The share of traffic, in basis points, that a revision's ready replicas can carry. */
export function capacityBasisPoints(counts: ReplicaCounts): number {
  if (counts.desired <= 0 || counts.ready <= 0) return 0;
  return Math.min(ALL_BASIS_POINTS, Math.floor((ALL_BASIS_POINTS * counts.ready) / counts.desired));
}
