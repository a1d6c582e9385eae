import type { CompiledDemand } from "./compiled-demand.ts";
import { claimedMilli, freeGpuMilli, leftOnDevice, WHOLE_MILLI } from "./gpu.ts";
import type { NodeEntry } from "./node-entry.ts";
import { preferenceOf } from "./preference.ts";

/** One copy more on a node weighs more than anything that is wished for. */
const COPY_WEIGHT = 100;
/** Stranded thousandths of a device that count as the same. */
const STRANDED_STEP = 100;
/** A node of which less than this part is left counts as filled. */
const FILLED_BELOW = 1 / 32;

/**
 * How good a node is for a demand that fits it; higher is better. It depends on the node and the demand alone, so it stays
 * true until the node changes.
 *
 * Copies of each other keep apart and go where most is left. Everything else is packed:
 *
 * - with GPU: without stranding devices, i.e. leaving GPU capacity for which the node would lack CPU or memory, in steps of
 *   a tenth of a device; then where it fills the node up, then where the device is left fullest. Among equals the first
 *   node of a fixed mixed order: finer scores spread demands over more nodes and leave less whole (measured on the
 *   Alibaba GPU trace of 2023, see the package's README).
 * - without GPU: nodes without GPUs first, the one of which least is left.
 *
 * What is wished for (see `preferenceOf`) counts more than packing.
 */
export function scoreNode(entry: NodeEntry, compiled: CompiledDemand): number {
  const preference = preferenceOf(entry, compiled);
  const { spreadKey } = compiled.demand;
  if (spreadKey !== undefined) {
    return preference - COPY_WEIGHT * entry.copies.of(spreadKey) + remainingShare(entry, compiled);
  }
  return preference + (compiled.gpu === undefined ? packWithoutGpu(entry, compiled) : packWithGpu(entry, compiled));
}

function packWithoutGpu(entry: NodeEntry, compiled: CompiledDemand): number {
  return entry.devices.length > 0 ? -1 : -remainingShare(entry, compiled);
}

function packWithGpu(entry: NodeEntry, compiled: CompiledDemand): number {
  const { gpu } = compiled;
  if (gpu === undefined) return 0;
  const freeMilli = freeGpuMilli(entry.devices);
  const [cpu, memory] = [compiled.amounts.find(isCpu)?.[1] ?? 0, compiled.amounts.find(isMemory)?.[1] ?? 0];
  const before = strandedMilli(entry, freeMilli, feedingShare(entry, 0, 0));
  const feeds = feedingShare(entry, cpu, memory);
  const after = strandedMilli(entry, freeMilli - claimedMilli(gpu), feeds);
  const stranding = Math.floor((before - after) / STRANDED_STEP) / 10;
  const cpuLeft = shareLeft(entry, "cpu_milli", cpu);
  const filling = cpuLeft < FILLED_BELOW ? (1 - cpuLeft) / 20 : 0;
  return stranding + filling - leftOnDevice(entry.devices, gpu) / (1000 * WHOLE_MILLI);
}

/** GPU capacity that cannot be used any more if each device needs its equal part of the node's CPU and memory. */
function strandedMilli(entry: NodeEntry, freeMilli: number, feeds: number): number {
  return Math.max(0, freeMilli - feeds * WHOLE_MILLI * entry.devices.length);
}

/** The part of the node that its CPU and memory could still feed. */
function feedingShare(entry: NodeEntry, cpu: number, memory: number): number {
  return Math.min(shareLeft(entry, "cpu_milli", cpu), shareLeft(entry, "memory_mib", memory));
}

/** The part of a dimension that is left after a claim; 1 where the node has none of it to begin with. */
function shareLeft(entry: NodeEntry, dimension: string, claim: number): number {
  const total = entry.total[dimension] ?? 0;
  return total <= 0 ? 1 : Math.max(0, total - (entry.used[dimension] ?? 0) - claim) / total;
}

const isCpu = ([dimension]: readonly [string, number]): boolean => dimension === "cpu_milli";
const isMemory = ([dimension]: readonly [string, number]): boolean => dimension === "memory_mib";

/** The largest share of a claimed dimension that remains afterwards, 0 to 1; without claims, one that falls with company. */
function remainingShare(entry: NodeEntry, { amounts, gpu }: CompiledDemand): number {
  if (amounts.length === 0 && gpu === undefined) return 1 / (1 + entry.reservations);
  let remaining = 0;
  for (const [dimension, wanted] of amounts) {
    const total = entry.total[dimension] ?? 0;
    if (total > 0) remaining = Math.max(remaining, (total - (entry.used[dimension] ?? 0) - wanted) / total);
  }
  if (gpu === undefined || entry.devices.length === 0) return remaining;
  const free = freeGpuMilli(entry.devices) - claimedMilli(gpu);
  return Math.max(remaining, free / (WHOLE_MILLI * entry.devices.length));
}
