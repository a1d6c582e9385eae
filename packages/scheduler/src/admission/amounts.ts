import { type Amounts, requestAmounts } from "@kedge/domain";
import type { ResourceRequest } from "@kedge/proto";
import type { Cluster } from "../cluster.ts";
import { claimedMilli, freeGpuMilli, WHOLE_MILLI } from "../gpu.ts";
import type { NodeEntry } from "../node-entry.ts";
import { isSetAside } from "../set-aside-nodes.ts";

/** Amounts that are added to in place. */
export type Tally = Record<string, number>;

/** What a request claims, devices counted together as "gpu_milli". */
export function claimedAmounts(resources: ResourceRequest | undefined): Amounts {
  const gpu = resources?.gpu;
  const milli = gpu === undefined ? 0 : claimedMilli(gpu);
  const amounts = requestAmounts(resources);
  return milli > 0 ? { ...amounts, gpu_milli: milli } : amounts;
}

/** Adds `times` × `amounts` to a tally. */
export function addTo(tally: Tally, amounts: Amounts, times = 1): void {
  for (const dimension in amounts) tally[dimension] = (tally[dimension] ?? 0) + times * (amounts[dimension] ?? 0);
}

/** What is free on a node; below 0 where more is reserved than there is. */
export function freeOn({ total, used, devices }: NodeEntry): Tally {
  const free: Tally = {};
  for (const dimension in total) free[dimension] = (total[dimension] ?? 0) - (used[dimension] ?? 0);
  if (devices.length > 0) free["gpu_milli"] = freeGpuMilli(devices);
  return free;
}

/**
 * All that the known nodes have, and what is free on those that take work: places for "jobs", which only quotas count,
 * never run out. One look at every node.
 */
export function clusterAmounts(cluster: Cluster): { readonly total: Tally; readonly left: Tally } {
  const [total, left]: [Tally, Tally] = [{}, { jobs: Number.POSITIVE_INFINITY }];
  for (const entry of cluster.entries()) {
    addTo(total, entry.total);
    if (entry.devices.length > 0) addTo(total, { gpu_milli: entry.devices.length * WHOLE_MILLI });
    if (!isSetAside(entry.node)) addTo(left, freeOn(entry));
  }
  return { total, left };
}

/** The largest part that amounts are of a whole, over its dimensions (dominant share; Ghodsi et al., NSDI 2011). */
export function dominantShare(amounts: Amounts, whole: Amounts): number {
  let share = 0;
  for (const dimension in amounts) {
    const total = whole[dimension] ?? 0;
    if (total > 0) share = Math.max(share, (amounts[dimension] ?? 0) / total);
  }
  return share;
}
