import { isRolloutEnded } from "@kedge/domain";
import { type Deployment, NodeState } from "@kedge/proto";
import type { ReplicaPlan, WorldContext } from "./replica-plan.ts";

const MAX_LOST = 64;

/**
 * Notes in a deployment's document, in place, which nodes lose all their replicas amid a rollout because they are lost: they may
 * still be serving, and what they decide alone counts when they are back.
 */
export function noteLostNodes(
  { name, rollout }: Deployment,
  plans: ReadonlyMap<number, Pick<ReplicaPlan, "byNode">>,
  { assignments, registry }: Pick<WorldContext, "assignments" | "registry">,
): void {
  if (rollout === undefined || isRolloutEnded(rollout.state)) return;
  const kept = new Set([...plans.values()].flatMap(({ byNode }) => [...byNode.keys()]));
  const lost = new Set(rollout.lostNodes);
  for (const { nodeId } of assignments.replicas(name)) {
    if (!kept.has(nodeId) && registry.state(nodeId) === NodeState.LOST) lost.add(nodeId);
  }
  if (lost.size > rollout.lostNodes.length) rollout.lostNodes = [...lost].slice(-MAX_LOST);
}
