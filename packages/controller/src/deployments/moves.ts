import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Deployment, NodeState, type ReplicaMove } from "@kedge/proto";
import { hasActiveRollout } from "@kedge/rollout";
import type { PlanContext } from "./replica-plan.ts";

const DEFAULT_START_SECONDS = 60;

/** Why a move is over. */
export interface EndedMove {
  readonly move: ReplicaMove;
  /** Absent: the replica has moved. */
  readonly givenUp?: string;
}

/**
 * Drops the moves that are over, in place: those whose old replica is gone, and those that cannot or must not go on. What
 * becomes of the replicas follows from the moves that are left.
 */
export function endMoves(deployment: Deployment, nowMs: number, context: PlanContext): EndedMove[] {
  if (deployment.moves.length === 0) return [];
  const assigned = new Set([...context.assignments.replicas(deployment.name)].map(({ replica }) => replica.replicaId));
  const ended: EndedMove[] = [];
  deployment.moves = deployment.moves.filter((move) => {
    if (!assigned.has(move.replicaId)) {
      ended.push({ move });
      return false;
    }
    const givenUp = obstacleTo(move, deployment, nowMs, context);
    if (givenUp !== undefined) ended.push({ move, givenUp });
    return givenUp === undefined;
  });
  return ended;
}

/** Why a deployment's replicas must not be moved now; undefined when they may. */
export function obstacleToMoving(deployment: Deployment): string | undefined {
  if (deployment.deleting) return "the deployment is being deleted";
  if (hasActiveRollout(deployment)) return "a rollout is under way";
  return deployment.spec?.scale.case === "replicasPerNode" ? "every node has its own replicas" : undefined;
}

function obstacleTo(
  move: ReplicaMove,
  deployment: Deployment,
  nowMs: number,
  { book, registry }: PlanContext,
): string | undefined {
  const obstacle = obstacleToMoving(deployment);
  if (obstacle !== undefined) return obstacle;
  if (move.revision !== deployment.stableRevision) return `revision ${move.revision} is not in force any more`;
  const gone = [move.fromNodeId, move.toNodeId].find((nodeId) => {
    return book.node(nodeId) === undefined || registry.state(nodeId) === NodeState.LOST;
  });
  if (gone !== undefined) return `node ${gone} is gone`;
  const seconds = deployment.spec?.template?.startTimeoutSeconds || DEFAULT_START_SECONDS;
  return nowMs - msOf(move.startedAt) > seconds * 1000 ? `it was not ready within ${seconds} s` : undefined;
}

function msOf(at: Timestamp | undefined): number {
  return at === undefined ? 0 : timestampMs(at);
}
