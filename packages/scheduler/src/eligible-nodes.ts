import type { NodeRejection } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import { compileDemand } from "./compiled-demand.ts";
import type { Demand } from "./demand.ts";
import { rejectionOf, sortedEntries } from "./explain.ts";
import { findObstacle, matchObstacle } from "./obstacle.ts";

/** Which nodes a demand may run on; ids ascending. */
export interface EligibleNodes {
  /** Nodes of the right kind that are ready, whether or not they have room. What runs on them already may stay. */
  readonly matching: readonly string[];
  /** Those of them with room for one more now. */
  readonly fitting: readonly string[];
  /** Why each node is not in `fitting`. */
  readonly rejections: readonly NodeRejection[];
}

/** Every node that matches a demand, for one replica on each. */
export function eligibleNodes(cluster: Cluster, demand: Demand): EligibleNodes {
  const compiled = compileDemand(demand);
  const matching: string[] = [];
  const fitting: string[] = [];
  const rejections: NodeRejection[] = [];
  for (const entry of sortedEntries(cluster)) {
    if (matchObstacle(entry, compiled) === undefined) matching.push(entry.id);
    const obstacle = findObstacle(entry, compiled);
    if (obstacle === undefined) fitting.push(entry.id);
    else rejections.push(rejectionOf(entry, obstacle));
  }
  return { matching, fitting, rejections };
}
