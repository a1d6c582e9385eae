import { create } from "@bufbuild/protobuf";
import { PlacementExplanationSchema } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import type { Demand, PlaceResult } from "./demand.ts";
import { explainUnplaced } from "./explain.ts";
import { pickDevices } from "./gpu.ts";
import { type CompiledDemand, compileDemand, findObstacle } from "./obstacle.ts";
import { type Candidate, isBetter, scoreNode } from "./score.ts";

/**
 * The best node for a demand, or why there is none. Reads the cluster only; call `reserve` with the result.
 * One pass over the nodes; the same cluster and demand give the same answer.
 */
export function place(cluster: Cluster, demand: Demand): PlaceResult {
  const compiled = compileDemand(demand);
  const best = bestCandidate(cluster, compiled);
  if (best === undefined) return { kind: "unplaced", explanation: explainUnplaced(cluster, compiled) };
  const { gpu } = compiled;
  const claims = gpu === undefined ? [] : (pickDevices(best.entry.devices, gpu) ?? []);
  const nodeId = best.entry.node.id;
  return {
    kind: "placed",
    nodeId,
    gpuIndices: claims.map((claim) => claim.index),
    explanation: create(PlacementExplanationSchema, {
      chosenNodeId: nodeId,
      score: best.score,
      summary: `placed on ${nodeId}`,
    }),
  };
}

function bestCandidate(cluster: Cluster, compiled: CompiledDemand): Candidate | undefined {
  let best: Candidate | undefined;
  for (const entry of cluster.entries()) {
    if (findObstacle(entry, compiled) !== undefined) continue;
    const candidate = { entry, score: scoreNode(entry, compiled) };
    if (best === undefined || isBetter(candidate, best)) best = candidate;
  }
  return best;
}
