import { create } from "@bufbuild/protobuf";
import {
  type NodeRejection,
  NodeRejectionSchema,
  type PlacementExplanation,
  PlacementExplanationSchema,
} from "@kedge/proto";
import type { Cluster, NodeEntry } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { type CompiledDemand, compileDemand, findObstacle, lastingObstacle, type Obstacle } from "./obstacle.ts";
import { type Candidate, isBetter, scoreNode } from "./score.ts";
import { describeImpossible, describeUnplaced } from "./summary.ts";

/** Most rejections and losing scores in one explanation; the summary counts them all. */
const MAX_LISTED = 64;

/**
 * The full account of where a demand would go now: the winner, the scores of the nodes that lost, and what keeps it
 * off each of the others; at most 64 of either kind, best and lowest id first.
 */
export function explain(cluster: Cluster, demand: Demand): PlacementExplanation {
  const compiled = compileDemand(demand);
  const candidates: Candidate[] = [];
  const rejections: NodeRejection[] = [];
  for (const entry of sortedEntries(cluster)) {
    const obstacle = findObstacle(entry, compiled);
    if (obstacle === undefined) candidates.push({ entry, score: scoreNode(entry, compiled) });
    else if (rejections.length < MAX_LISTED) rejections.push(rejectionOf(entry, obstacle));
  }
  candidates.sort((a, b) => (isBetter(a, b) ? -1 : 1));
  const [winner, ...losers] = candidates;
  if (winner === undefined) return explainUnplaced(cluster, compiled);
  const nodeId = winner.entry.node.id;
  return create(PlacementExplanationSchema, {
    chosenNodeId: nodeId,
    score: winner.score,
    summary: `${nodeId} is the best of ${candidates.length} nodes that fit, of ${cluster.size} known`,
    rejections,
    losingScores: Object.fromEntries(losers.slice(0, MAX_LISTED).map(({ entry, score }) => [entry.node.id, score])),
  });
}

/** Why a demand fits no node. */
export function explainUnplaced(cluster: Cluster, compiled: CompiledDemand): PlacementExplanation {
  const now: Obstacle[] = [];
  const lasting: Obstacle[] = [];
  const rejections: NodeRejection[] = [];
  for (const entry of sortedEntries(cluster)) {
    const obstacle = findObstacle(entry, compiled);
    if (obstacle === undefined) continue;
    now.push(obstacle);
    if (rejections.length < MAX_LISTED) rejections.push(rejectionOf(entry, obstacle));
    const ever = lastingObstacle(entry, compiled);
    if (ever !== undefined) lasting.push(ever);
  }
  const impossible = cluster.size > 0 && lasting.length === cluster.size;
  return create(PlacementExplanationSchema, {
    impossible,
    summary: impossible ? describeImpossible(lasting, compiled) : describeUnplaced(now),
    rejections,
  });
}

/** An obstacle as the message that tells of it. */
export function rejectionOf(entry: NodeEntry, obstacle: Obstacle): NodeRejection {
  return create(NodeRejectionSchema, { nodeId: entry.node.id, ...obstacle });
}

/** The nodes by id. */
export function sortedEntries(cluster: Cluster): NodeEntry[] {
  return [...cluster.entries()].sort((a, b) => (a.node.id < b.node.id ? -1 : 1));
}
