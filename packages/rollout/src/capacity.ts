import type { ReplicaCounts, ReplicaView, ReplicaWorld } from "./observation.ts";

const NONE: ReplicaCounts = { desired: 0, ready: 0, failed: 0 };
const NO_REPLICAS: ReplicaView = new Map();

/** All of a route's traffic, in basis points. */
export const ALL_BASIS_POINTS = 10_000;

/** A revision's replicas; zeros when it has none. */
export function countsOf(replicas: ReplicaView, revision: number): ReplicaCounts {
  return replicas.get(revision) ?? NONE;
}

/** The replicas on the nodes of a wave; all of them when there is but one wave. */
export function waveReplicas(world: ReplicaWorld, wave: number, waves: number): ReplicaView {
  return waves === 1 ? world.replicas : (world.waves?.[wave]?.replicas ?? NO_REPLICAS);
}

/** The share of traffic, in basis points, that a revision's ready replicas can carry. */
export function capacityBasisPoints({ desired, ready }: Pick<ReplicaCounts, "desired" | "ready">): number {
  if (desired <= 0 || ready <= 0) return 0;
  return Math.min(ALL_BASIS_POINTS, Math.floor((ALL_BASIS_POINTS * ready) / desired));
}
