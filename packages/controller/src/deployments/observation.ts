import { NodeState, ReplicaState, type Route } from "@kedge/proto";
import type { ReplicaCounts } from "@kedge/rollout";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { ReplicaPlan } from "./replica-plan.ts";

/** Counts the planned replicas of a revision by what live nodes report of them. */
export function countReplicas(plan: ReplicaPlan, deployment: string, registry: NodeRegistry): ReplicaCounts {
  const planned = new Set([...plan.byNode.values()].flat().map((replica) => replica.replicaId));
  let ready = 0;
  let failed = 0;
  let message: string | undefined;
  for (const { nodeId, replica } of registry.replicas(deployment)) {
    if (!planned.has(replica.replicaId) || !replica.replicaId.includes(`-${nodeId}-`)) continue;
    if (replica.state === ReplicaState.READY) ready++;
    if (replica.state === ReplicaState.FAILED) {
      failed++;
      message = `${replica.replicaId}: ${replica.message}`;
    }
  }
  return { desired: plan.desired, ready, failed, ...(message === undefined ? {} : { message }) };
}

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
