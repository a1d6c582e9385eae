import type { NodeEntry } from "./cluster.ts";
import { freeGpuShare } from "./gpu.ts";
import type { CompiledDemand } from "./obstacle.ts";

/** Weights small enough to decide between nodes that are otherwise about as good. */
const CACHE_WEIGHT = 0.2;
const EMPTINESS_WEIGHT = 0.1;

/**
 * How good a node is for a demand that fits it; higher is better.
 *
 * With a spread key: 1/(1 + reservations of that key), then the emptier node. Without: best fit, i.e. 1 minus the
 * largest share of any claimed dimension that would remain, so that what is left stays in few big pieces; a demand
 * without GPU keeps off nodes with free GPUs. Either way what is cached on the node counts a little.
 */
export function scoreNode(entry: NodeEntry, compiled: CompiledDemand): number {
  const cached = CACHE_WEIGHT * cachedShare(entry, compiled);
  const { spreadKey } = compiled.demand;
  if (spreadKey !== undefined) {
    const emptiness = EMPTINESS_WEIGHT * remainingShare(entry, compiled);
    return 1 / (1 + (entry.spread.get(spreadKey) ?? 0)) + emptiness + cached;
  }
  const stranded = compiled.gpu === undefined ? freeGpuShare(entry.devices) : 0;
  return 1 - remainingShare(entry, compiled) - stranded + cached;
}

/** Orders candidates best first: by score, then fewer reservations, then by id, so that ties fall the same way always. */
export function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.score !== b.score) return a.score > b.score;
  if (a.entry.reservations !== b.entry.reservations) return a.entry.reservations < b.entry.reservations;
  return a.entry.node.id < b.entry.node.id;
}

/** A node that fits, with its score. */
export interface Candidate {
  readonly entry: NodeEntry;
  readonly score: number;
}

/** The largest share of a claimed dimension that remains afterwards; without claims, a share that falls with company. */
function remainingShare(entry: NodeEntry, { amounts, gpu }: CompiledDemand): number {
  let remaining = 0;
  for (const [dimension, wanted] of amounts) {
    const total = entry.total[dimension] ?? 0;
    if (total > 0) remaining = Math.max(remaining, (total - (entry.used[dimension] ?? 0) - wanted) / total);
  }
  if (gpu !== undefined && entry.devices.length > 0) {
    const claimed = (gpu.count > 0 ? gpu.count : gpu.shareMilli / 1000) / entry.devices.length;
    remaining = Math.max(remaining, freeGpuShare(entry.devices) - claimed);
  }
  return amounts.length === 0 && gpu === undefined ? 1 / (1 + entry.reservations) : remaining;
}

function cachedShare(entry: NodeEntry, { demand }: CompiledDemand): number {
  const images = demand.images ?? [];
  const models = demand.models ?? [];
  const asked = images.length + models.length;
  if (asked === 0) return 0;
  const held = images.filter((image) => entry.images.has(image)).length;
  return (held + models.filter((model) => entry.models.has(model)).length) / asked;
}
