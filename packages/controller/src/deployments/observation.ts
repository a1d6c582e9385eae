import { NodeState, type ReplicaAssignment, ReplicaState, type Route } from "@kedge/proto";
import type { ReplicaCounts } from "@kedge/rollout";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { ReplicaPlan } from "./replica-plan.ts";

/** Counts the planned replicas of a revision by what live nodes report of them. */
export function countReplicas(plan: ReplicaPlan, deployment: string, registry: NodeRegistry): ReplicaCounts {
  const left = new Map([...plan.byNode].map(([nodeId, planned]) => [nodeId, new Set(planned.map(idOf))]));
  let ready = 0;
  let failed = 0;
  let message: string | undefined;
  for (const { nodeId, replica } of registry.replicas(deployment)) {
    // Each node speaks for its own replicas, once for each.
    if (!left.get(nodeId)?.delete(replica.replicaId)) continue;
    if (replica.state === ReplicaState.READY) ready++;
    if (replica.state === ReplicaState.FAILED) {
      failed++;
      message = `${replica.replicaId}: ${replica.message}`;
    }
  }
  return { desired: plan.desired, ready, failed, ...(message === undefined ? {} : { message }) };
}

const idOf = ({ replicaId }: ReplicaAssignment): string => replicaId;

/**
 * The splits that every live node with replicas of the deployment applies: the route document's, once each node has
 * reported its generation or a later one; undefined before.
 */
export function routeInForce(
  deployment: string,
  route: Route | undefined,
  registry: NodeRegistry,
  assignments: AssignmentWriter,
): Route["splits"] | undefined {
  if (route === undefined) return undefined;
  const serving = new Set([...assignments.replicas(deployment)].map(({ nodeId }) => nodeId));
  for (const nodeId of serving) {
    if (registry.state(nodeId) !== NodeState.READY) continue;
    const applied = registry.latest(nodeId)?.routes.find((candidate) => candidate.deployment === deployment);
    if (applied === undefined || applied.generation < route.generation) return undefined;
  }
  return route.splits;
}
