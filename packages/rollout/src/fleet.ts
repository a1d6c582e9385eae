import { LocalDecisionKind, type Rollout } from "@kedge/proto";
import type { RolloutObservation } from "./observation.ts";
import { currentStep, maxFailedPercent } from "./strategy-steps.ts";

/** How a rollout fares on the nodes that it has reached. */
export interface FleetHealth {
  /** Nodes where it failed or was rolled back by the node itself. */
  readonly failed: number;
  readonly reached: number;
  /** More than the strategy allows; without an allowance, any. */
  readonly isTooMany: boolean;
}

/** Counts the nodes of the waves reached so far. Those of one wave only say nothing of a whole fleet, so the others do not count. */
export function fleetHealth(rollout: Rollout, { waves = [], localDecisions = [] }: RolloutObservation): FleetHealth {
  const begun = rollout.returning ? waves : waves.slice(0, currentStep(rollout).wave + 1);
  const failed = new Set(begun.flatMap((wave) => wave.failedNodes));
  for (const decision of [...rollout.localDecisions, ...localDecisions]) {
    if (decision.rolloutId === rollout.id && decision.kind === LocalDecisionKind.ROLLBACK) failed.add(decision.nodeId);
  }
  const reached = begun.reduce((sum, wave) => sum + wave.nodes, 0);
  const allowed = (reached * maxFailedPercent(rollout)) / 100;
  return { failed: failed.size, reached, isTooMany: failed.size > allowed };
}
