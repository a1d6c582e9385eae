import { type Amounts, addAmounts, capacityAmounts, requestAmounts } from "@kedge/domain";
import type { Cluster, Reservation } from "@kedge/scheduler";

const WHOLE_DEVICE = 1000;

/** Tells whether more is reserved on a node than it has, the reservations under `without` not counted. */
export function isOvercommitted(cluster: Cluster, nodeId: string, without: ReadonlySet<string>): boolean {
  const node = cluster.node(nodeId);
  const counted = cluster
    .reservationsOn(nodeId)
    .filter(({ key, heldFor }) => heldFor === undefined && !without.has(key));
  if (node?.capacity === undefined) return false;
  const total = capacityAmounts(node.capacity);
  const used = counted.reduce<Amounts>((sum, { resources }) => addAmounts(sum, requestAmounts(resources)), {});
  if (Object.entries(used).some(([dimension, amount]) => amount > (total[dimension] ?? 0))) return true;
  const known = new Set(node.capacity.gpus.map(({ index }) => index));
  return [...devicesOf(counted)].some(([index, milli]) => milli > WHOLE_DEVICE || !known.has(index));
}

function devicesOf(reservations: readonly Reservation[]): Map<number, number> {
  const byIndex = new Map<number, number>();
  for (const { gpuIndices, resources } of reservations) {
    const isPart = (resources?.gpu?.count ?? 0) === 0;
    const milli = isPart ? (resources?.gpu?.shareMilli ?? 0) : WHOLE_DEVICE;
    for (const index of gpuIndices) byIndex.set(index, (byIndex.get(index) ?? 0) + milli);
  }
  return byIndex;
}
