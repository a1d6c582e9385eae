import { create } from "@bufbuild/protobuf";
import { type PlacementExplanation, PlacementExplanationSchema } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import { type CompiledDemand, compileDemand } from "./compiled-demand.ts";
import type { Demand, PlacedDemand, PlaceResult } from "./demand.ts";
import type { Candidate } from "./demand-class.ts";
import { explainUnplaced } from "./explain.ts";
import { pickDevices } from "./gpu.ts";
import type { NodeEntry } from "./node-entry.ts";
import { findObstacle, type Obstacle } from "./obstacle.ts";

/**
 * The best node for a demand, or why there is none. Reads the cluster only; call `reserve` with the result. The same
 * cluster and demand give the same answer. Cost: the nodes that changed since the last demand like it; a demand unlike
 * any of late, and an explanation, cost one look at every node.
 */
export function place(cluster: Cluster, demand: Demand): PlaceResult {
  const compiled = compileDemand(demand);
  const best = bestCandidate(cluster, compiled);
  if (best !== undefined) return placedOn(best.entry, compiled, best.score);
  let explanation: PlacementExplanation | undefined;
  return {
    kind: "unplaced",
    get explanation() {
      explanation ??= explainUnplaced(cluster, compiled);
      return explanation;
    },
  };
}

/** Whether a demand fits one node now, and with which devices; or the first thing that keeps it off. */
export function fits(cluster: Cluster, nodeId: string, demand: Demand): FitResult {
  const entry = cluster.entry(nodeId);
  if (entry === undefined) return { kind: "unknown-node" };
  const compiled = compileDemand(demand);
  const obstacle = findObstacle(entry, compiled, cluster.spreadOf(compiled));
  return obstacle === undefined
    ? { kind: "fits", gpuIndices: devicesOn(entry, compiled) }
    : { kind: "obstacle", obstacle };
}

/** What `fits` found. */
export type FitResult =
  | { readonly kind: "fits"; readonly gpuIndices: readonly number[] }
  | { readonly kind: "obstacle"; readonly obstacle: Obstacle }
  | { readonly kind: "unknown-node" };

/** The node as an answer. */
export function placedOn(entry: NodeEntry, compiled: CompiledDemand, score: number): PlacedDemand {
  return {
    kind: "placed",
    nodeId: entry.id,
    gpuIndices: devicesOn(entry, compiled),
    explanation: create(PlacementExplanationSchema, {
      chosenNodeId: entry.id,
      score,
      summary: `placed on ${entry.id}`,
    }),
  };
}

function bestCandidate(cluster: Cluster, compiled: CompiledDemand): Candidate | undefined {
  const limits = cluster.spreadOf(compiled);
  if (limits === undefined) return cluster.classOf(compiled).best();
  for (const domain of limits.domains) {
    const best = cluster.classOf({ ...compiled, domain }).best();
    if (best !== undefined) return best;
  }
  return undefined;
}

function devicesOn(entry: NodeEntry, { gpu }: CompiledDemand): readonly number[] {
  return gpu === undefined ? [] : (pickDevices(entry.devices, gpu) ?? []).map((claim) => claim.index);
}
