import { type Amounts, addAmounts } from "@kedge/domain";

/** A node as a quarantine counts it. */
export interface FleetNode {
  readonly nodeId: string;
  readonly capacity: Amounts;
  /** Takes work: ready, neither cordoned nor set aside. */
  readonly isInService: boolean;
  readonly isQuarantined: boolean;
}

/** What a fleet can do without. */
export interface QuarantineRoom {
  readonly nodes: readonly FleetNode[];
  /** What all replicas ask for together. */
  readonly needed: Amounts;
  /** Largest share of the nodes in quarantine at once; one at least. */
  readonly maxPercent: number;
}

/**
 * Why a node must not be set aside now; undefined when it may. Whatever makes many nodes look sick at once is more likely
 * something that they have in common, so only a share of them goes, and never what the deployments need.
 */
export function obstacleToQuarantine(
  nodeId: string,
  { nodes, needed, maxPercent }: QuarantineRoom,
): string | undefined {
  const most = Math.max(1, Math.floor((nodes.length * maxPercent) / 100));
  const aside = nodes.filter((node) => node.isQuarantined && node.nodeId !== nodeId).length;
  if (aside >= most) return `${aside} of ${nodes.length} nodes are in quarantine already, the most that may be`;
  const left = nodes.filter((node) => node.isInService && node.nodeId !== nodeId);
  if (left.length === 0) return "no other node takes work";
  const capacity = left.reduce<Amounts>((sum, node) => addAmounts(sum, node.capacity), {});
  const short = Object.entries(needed).find(([dimension, amount]) => amount > (capacity[dimension] ?? 0));
  return short === undefined ? undefined : `the other nodes have too little ${short[0]} for what the deployments need`;
}
