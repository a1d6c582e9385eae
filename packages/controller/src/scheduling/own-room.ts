import type { Cluster, Demand } from "@kedge/scheduler";

/** Looks at the cluster as it would be without what the demand holds itself. */
export function withRoomFree<T>(cluster: Cluster, demand: Demand, look: () => T): T {
  const own = cluster.reservation(demand.key);
  if (own === undefined) return look();
  cluster.release(own.key);
  try {
    return look();
  } finally {
    const artifacts = (demand.artifacts ?? []).map(({ name }) => name);
    cluster.reserve(own.nodeId, own.key, own.resources, { ...own, artifacts });
  }
}
