import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Deployment, ReplicaMoveSchema, type Revision } from "@kedge/proto";
import { findRevision } from "@kedge/rollout";
import { place } from "@kedge/scheduler";
import { isQuarantined } from "../node-health/quarantine.ts";
import { avoidNode } from "./avoided-nodes.ts";
import { obstacleToMoving } from "./moves.ts";
import { avoidedNodes, replicaDemand } from "./replica-demand.ts";
import { freeReplicaId } from "./replica-id.ts";
import type { WorldContext } from "./replica-plan.ts";

/** What replicas are moved off nodes with. */
export interface EvacuationContext extends WorldContext {
  /** Nodes on which a revision fails while it is well on others, with the reason. */
  readonly misfits: (deployment: string, revision: number) => ReadonlyMap<string, string>;
}

/** So many of a deployment's replicas move at once. */
const MAX_AT_ONCE = 4;

/**
 * Begins to move a replica off a node in quarantine, or off one on which its revision alone fails, in place: one at a look,
 * so that the next is placed with the room of this one taken. One that fits nowhere else stays where it is.
 */
export function beginEvacuation(deployment: Deployment, nowMs: number, context: EvacuationContext): void {
  const revision = findRevision(deployment, deployment.stableRevision);
  if (revision === undefined || obstacleToMoving(deployment) !== undefined) return;
  if (deployment.moves.length >= MAX_AT_ONCE) return;
  const misfits = context.misfits(deployment.name, revision.number);
  const moving = new Set(deployment.moves.flatMap(({ replicaId, newReplicaId }) => [replicaId, newReplicaId]));
  for (const { nodeId, replica } of context.assignments.replicas(deployment.name)) {
    if (replica.revision !== revision.number || moving.has(replica.replicaId)) continue;
    const misfit = misfits.get(nodeId);
    const isAside = isQuarantined(context.book.node(nodeId));
    if (misfit === undefined && !isAside) continue;
    const isAvoided = avoidedNodes(deployment, revision)?.has(nodeId) === true;
    if (misfit !== undefined && !isAvoided) {
      avoidNode(deployment, { nodeId, revision: revision.number, reason: misfit, nowMs });
    }
    const reason = misfit ?? `${nodeId} is in quarantine`;
    if (begin(deployment, revision, { replicaId: replica.replicaId, nodeId, reason, nowMs }, context)) return;
  }
}

interface Evacuee {
  readonly replicaId: string;
  readonly nodeId: string;
  readonly reason: string;
  readonly nowMs: number;
}

function begin(
  deployment: Deployment,
  revision: Revision,
  { replicaId, nodeId, reason, nowMs }: Evacuee,
  { book, assignments }: EvacuationContext,
): boolean {
  if (deployment.spec === undefined) return false;
  const demand = replicaDemand(deployment.spec, revision, replicaId, book);
  const found = place(book.cluster, { ...demand, avoid: avoidedNodes(deployment, revision) });
  if (found.kind === "unplaced" || found.nodeId === nodeId) return false;
  const used = [...assignments.replicas(deployment.name)].map(({ replica }) => replica.replicaId);
  const planned = deployment.moves.map(({ newReplicaId }) => newReplicaId);
  const names = { deployment: deployment.name, revision: revision.number, nodeId: found.nodeId };
  deployment.moves.push(
    create(ReplicaMoveSchema, {
      replicaId,
      revision: revision.number,
      fromNodeId: nodeId,
      toNodeId: found.nodeId,
      newReplicaId: freeReplicaId([...used, ...planned], names),
      startedAt: timestampFromMs(nowMs),
      reason,
    }),
  );
  return true;
}
