import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { AvoidedNodeSchema, type Deployment } from "@kedge/proto";

const AVOID_MS = 30 * 60_000;
const MAX_AVOIDED = 32;

/** A node for a revision to keep off, and why. */
export interface Avoidance {
  readonly nodeId: string;
  readonly revision: number;
  readonly reason: string;
  readonly nowMs: number;
}

/** Keeps a revision's new replicas off a node for half an hour from now, in place; the oldest of too many is forgotten. */
export function avoidNode(deployment: Deployment, { nodeId, revision, reason, nowMs }: Avoidance): void {
  const others = deployment.avoidedNodes.filter((known) => known.nodeId !== nodeId || known.revision !== revision);
  const until = timestampFromMs(nowMs + AVOID_MS);
  const avoided = [...others, create(AvoidedNodeSchema, { nodeId, revision, reason, until })];
  deployment.avoidedNodes = avoided.slice(-MAX_AVOIDED);
}

/** Forgets the nodes whose time is over, in place. */
export function endAvoidance(deployment: Deployment, nowMs: number): void {
  deployment.avoidedNodes = deployment.avoidedNodes.filter(({ until }) => until && timestampMs(until) > nowMs);
}
