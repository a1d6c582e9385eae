import type { Rollout } from "@kedge/proto";
import { capacityBasisPoints, countsOf } from "./capacity.ts";
import { desiredRoute, sameSplits } from "./desired.ts";
import type { RolloutObservation } from "./observation.ts";
import { currentStep } from "./steps.ts";
import { holdEndsAt } from "./timing.ts";

/** Tells whether a revision's ready replicas carry this share of the traffic. */
export function carries(observation: RolloutObservation, revision: number, percent: number): boolean {
  return capacityBasisPoints(countsOf(observation.replicas, revision)) >= percent * 100;
}

/** Tells whether every serving node applies the route that the rollout wants. */
export function isRouteInForce(rollout: Rollout, observation: RolloutObservation): boolean {
  const { routeInForce, replicas } = observation;
  return routeInForce !== undefined && sameSplits(routeInForce, desiredRoute(rollout, replicas).splits);
}

/** What keeps a step that has begun from ending, for people; undefined when it may end. */
export function stepObstacle(rollout: Rollout, observation: RolloutObservation, now: number): string | undefined {
  const step = currentStep(rollout);
  if (!carries(observation, rollout.toRevision, step.weightPercent)) return "too few ready replicas";
  if (!isRouteInForce(rollout, observation)) return "a serving node has not applied the route";
  if (rollout.promoteRequested) return undefined;
  const seen = rollout.stepCanary?.requests ?? 0n;
  if (seen < BigInt(step.minRequests)) return `${seen} of ${step.minRequests} requests seen at ${step.weightPercent} %`;
  if (now < (holdEndsAt(rollout) ?? 0)) return `held at ${step.weightPercent} % for ${step.holdSeconds} s`;
  return step.manual ? WAITS_FOR_PERSON : undefined;
}

/** The obstacle of a manual step that is done otherwise; no deadline runs against it. */
export const WAITS_FOR_PERSON = "waits to be promoted by a person";
