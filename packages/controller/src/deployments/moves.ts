import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Deployment, NodeState, type ReplicaMove, ReplicaState } from "@kedge/proto";
import { hasActiveRollout } from "@kedge/rollout";
import { avoidNode } from "./avoided-nodes.ts";
import type { WorldContext } from "./replica-plan.ts";

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
export function endMoves(deployment: Deployment, nowMs: number, context: WorldContext): EndedMove[] {
  if (deployment.moves.length === 0) return [];
  const assigned = new Set([...context.assignments.replicas(deployment.name)].map(({ replica }) => replica.replicaId));
  const ended: EndedMove[] = [];
  deployment.moves = deployment.moves.filter((move) => {
    if (!assigned.has(move.replicaId)) {
      ended.push({ move });
      return false;
    }
    const givenUp = obstacleTo(move, deployment, context) ?? lateness(move, deployment, nowMs, context);
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

/** Tells whether a replica is the one that takes the place of the old one. */
export function isNewcomer(placed: PlacedReplica, { toNodeId, newReplicaId }: ReplicaMove): boolean {
  return newReplicaId === "" ? placed.nodeId === toNodeId : placed.replica.replicaId === newReplicaId;
}

/** A replica and its node. */
interface PlacedReplica {
  readonly nodeId: string;
  readonly replica: { readonly replicaId: string };
}

function obstacleTo(move: ReplicaMove, deployment: Deployment, { book, registry }: WorldContext): string | undefined {
  const obstacle = obstacleToMoving(deployment);
  if (obstacle !== undefined) return obstacle;
  if (move.revision !== deployment.stableRevision) return `revision ${move.revision} is not in force any more`;
  const gone = [move.fromNodeId, move.toNodeId].find((nodeId) => {
    return book.node(nodeId) === undefined || registry.state(nodeId) === NodeState.LOST;
  });
  return gone === undefined ? undefined : `node ${gone} is gone`;
}

/** A new replica that does not come up had better be tried elsewhere next time. */
function lateness(
  move: ReplicaMove,
  deployment: Deployment,
  nowMs: number,
  { registry }: WorldContext,
): string | undefined {
  const seconds = deployment.spec?.template?.startTimeoutSeconds || DEFAULT_START_SECONDS;
  if (nowMs - msOf(move.startedAt) <= seconds * 1000) return undefined;
  // One that is ready waits for others only, with what it replaces still there.
  const isUp = [...registry.replicas(deployment.name)].some(
    (placed) => isNewcomer(placed, move) && placed.replica.state === ReplicaState.READY,
  );
  if (isUp) return undefined;
  const reason = `a replica that was moved there was not ready within ${seconds} s`;
  if (move.reason !== "") avoidNode(deployment, { nodeId: move.toNodeId, revision: move.revision, reason, nowMs });
  return `it was not ready within ${seconds} s`;
}

function msOf(at: Timestamp | undefined): number {
  return at === undefined ? 0 : timestampMs(at);
}
