import type { LabelAffinity, WorkloadAffinity } from "@kedge/proto";
import type { CompiledDemand } from "./compiled-demand.ts";
import type { Artifact } from "./demand.ts";
import { meetsConstraint } from "./label-constraints.ts";
import type { NodeEntry } from "./node-entry.ts";

/** What is wished for outweighs whatever packing could lose on one node, which is at most its number of GPUs. */
const WISH_WEIGHT = 20;
const DEFAULT_WORKLOAD_WEIGHT = 50;
/** An artifact whose size nobody knows counts as this many bytes. */
const UNKNOWN_BYTES = 256 * 2 ** 20;
/** Fetching as much as this costs about half as much as fetching anything can. */
const HEAVY_BYTES = 2 ** 30;
/** Part of a fetch that is taken as done when it is under way for something else. */
const UNDER_WAY = 0.5;

/**
 * What is wished for on a node, in devices that one would strand for it: label and workload affinities (−20 to 20 each),
 * what is there already (0 to 1, by bytes), and cost (0 to −1).
 */
export function preferenceOf(entry: NodeEntry, compiled: CompiledDemand): number {
  const { placement } = compiled.demand;
  const cost = costOf(entry);
  const there = compiled.artifacts.length === 0 ? 0 : fetchedShare(entry, compiled.artifacts);
  if (placement === undefined) return there - cost;
  const labels = labelWish(entry, placement.affinities);
  const company = companyWish(entry, placement.workloads);
  return WISH_WEIGHT * (labels + company) + there - cost;
}

/** −1 to 1: met weights less those of what is to be avoided, as a part of all weights. */
function labelWish(entry: NodeEntry, affinities: readonly LabelAffinity[]): number {
  let [met, all] = [0, 0];
  for (const { constraint, weight } of affinities) {
    all += Math.abs(weight);
    if (constraint !== undefined && meetsConstraint(entry.node.labels, constraint)) met += weight;
  }
  return all === 0 ? 0 : met / all;
}

function companyWish(entry: NodeEntry, affinities: readonly WorkloadAffinity[]): number {
  let [met, all] = [0, 0];
  for (const { workload, apart, required, weight } of affinities) {
    if (required) continue;
    const points = weight === 0 ? DEFAULT_WORKLOAD_WEIGHT : weight;
    all += points;
    if (entry.workloads.of(workload) > 0) met += apart ? -points : points;
  }
  return all === 0 ? 0 : met / all;
}

/** 0 to almost 1: near 1 when much need not be fetched, near 0 when there is nothing or it is small anyway. */
function fetchedShare(entry: NodeEntry, artifacts: readonly Artifact[]): number {
  let [saved, all] = [0, 0];
  for (const { name, bytes } of artifacts) {
    const size = bytes === 0 ? UNKNOWN_BYTES : bytes;
    all += size;
    if (entry.cached.has(name)) saved += size;
    else if (entry.fetching.of(name) > 0) saved += UNDER_WAY * size;
  }
  return saved / (all + HEAVY_BYTES);
}

/** 0 when free or not told, towards 1 when dear. */
function costOf({ node }: NodeEntry): number {
  const perHour = node.capacity?.costPerHour ?? 0;
  return perHour > 0 ? perHour / (1 + perHour) : 0;
}
