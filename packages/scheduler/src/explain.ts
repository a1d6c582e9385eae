import { create } from "@bufbuild/protobuf";
import {
  type NodeRejection,
  NodeRejectionSchema,
  type PlacementExplanation,
  PlacementExplanationSchema,
} from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import { type CompiledDemand, compileDemand } from "./compiled-demand.ts";
import type { Demand } from "./demand.ts";
import { type Candidate, isBetter } from "./demand-class.ts";
import { labelOf } from "./label-constraints.ts";
import type { NodeEntry } from "./node-entry.ts";
import { allObstacles, findObstacle, lastingObstacle, type Obstacle } from "./obstacle.ts";
import { type Blocked, remediesFor } from "./remedies.ts";
import { scoreNode } from "./score.ts";
import type { SpreadLimits } from "./spread.ts";
import { describeImpossible, describeUnplaced } from "./summary.ts";

/** Most rejections and losing scores in one explanation; the summary counts them all. */
const MAX_LISTED = 64;

/**
 * The full account of where a demand would go now: the winner, the scores of the nodes that lost, and what keeps it
 * off each of the others; at most 64 of either kind, best and lowest id first. The same functions decide as in `place`.
 */
export function explain(cluster: Cluster, demand: Demand): PlacementExplanation {
  const compiled = compileDemand(demand);
  const limits = cluster.spreadOf(compiled);
  const candidates: Candidate[] = [];
  const rejections: NodeRejection[] = [];
  for (const entry of sortedEntries(cluster)) {
    const obstacle = findObstacle(entry, compiled, limits);
    if (obstacle === undefined) candidates.push({ entry, score: scoreNode(entry, compiled) });
    else if (rejections.length < MAX_LISTED) rejections.push(rejectionOf(entry, obstacle));
  }
  candidates.sort((a, b) => compareCandidates(a, b, limits));
  const [winner, ...losers] = candidates;
  if (winner === undefined) return explainUnplaced(cluster, compiled);
  return create(PlacementExplanationSchema, {
    chosenNodeId: winner.entry.id,
    score: winner.score,
    summary: `${winner.entry.id} is the best of ${candidates.length} nodes that fit, of ${cluster.size} known`,
    rejections,
    losingScores: Object.fromEntries(losers.slice(0, MAX_LISTED).map(({ entry, score }) => [entry.id, score])),
  });
}

/** Why a demand fits no node, and what would make it fit. */
export function explainUnplaced(cluster: Cluster, compiled: CompiledDemand): PlacementExplanation {
  const limits = cluster.spreadOf(compiled);
  const blocked: Blocked[] = [];
  const lasting: Obstacle[] = [];
  for (const entry of sortedEntries(cluster)) {
    const obstacles = allObstacles(entry, compiled, limits);
    if (obstacles.length > 0) blocked.push({ entry, obstacles });
    const ever = lastingObstacle(entry, compiled);
    if (ever !== undefined) lasting.push(ever);
  }
  const first = blocked.flatMap(({ entry, obstacles: [obstacle] }) => (obstacle ? [{ entry, obstacle }] : []));
  const impossible = cluster.size > 0 && lasting.length === cluster.size;
  return create(PlacementExplanationSchema, {
    impossible,
    summary: impossible
      ? describeImpossible(lasting, compiled)
      : describeUnplaced(first.map(({ obstacle }) => obstacle)),
    rejections: first.slice(0, MAX_LISTED).map(({ entry, obstacle }) => rejectionOf(entry, obstacle)),
    remedies: remediesFor(blocked),
  });
}

/** An obstacle as the message that tells of it. */
export function rejectionOf(entry: NodeEntry, obstacle: Obstacle): NodeRejection {
  return create(NodeRejectionSchema, { nodeId: entry.id, ...obstacle });
}

/** The nodes by id. */
export function sortedEntries(cluster: Cluster): NodeEntry[] {
  return [...cluster.entries()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Copies that are spread go to the values with the fewest first, whatever the scores. */
function compareCandidates(a: Candidate, b: Candidate, limits: SpreadLimits | undefined): number {
  const byDomain = limits === undefined ? 0 : domainOf(a, limits) - domainOf(b, limits);
  return byDomain || (isBetter(a, b) ? -1 : 1);
}

function domainOf({ entry }: Candidate, { label, domains }: SpreadLimits): number {
  const value = labelOf(entry.node.labels, label);
  return domains.findIndex((domain) => domain.value === value);
}
