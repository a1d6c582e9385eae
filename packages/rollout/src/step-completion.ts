import { type Rollout, VerdictKind } from "@kedge/proto";
import { capacityBasisPoints, countsOf, waveReplicas } from "./capacity.ts";
import { desiredRoute, isSameTraffic } from "./desired-route.ts";
import type { RolloutObservation } from "./observation.ts";
import { fullScale, isRolled, rollingReady } from "./rolling.ts";
import { currentStep, maxFailedPercent, type ResolvedStep, rolloutSteps, waveCount } from "./strategy-steps.ts";
import { holdEndsAt } from "./timing.ts";

/** The obstacle of a manual step that is done otherwise; no deadline runs against it. */
export const WAITS_FOR_PERSON = "waits to be promoted by a person";

/**
 * Tells whether the new revision's ready replicas carry this share of the traffic on the nodes of a wave. Where the
 * strategy allows nodes to fail, failed replicas are not waited for.
 */
export function carries(rollout: Rollout, observation: RolloutObservation, need: { wave: number; percent: number }) {
  const replicas = waveReplicas(observation, need.wave, waveCount(rollout));
  const { desired, ready, failed } = countsOf(replicas, rollout.toRevision);
  const excused = maxFailedPercent(rollout) > 0 ? failed : 0;
  return capacityBasisPoints({ ready, desired: desired - excused }) >= need.percent * 100;
}

/** Tells whether the new revision's ready replicas carry all traffic everywhere. */
export function carriesAll(rollout: Rollout, observation: RolloutObservation): boolean {
  const waves = Array.from({ length: waveCount(rollout) }, (_, wave) => wave);
  return waves.every((wave) => carries(rollout, observation, { wave, percent: 100 }));
}

/** Tells whether every serving node applies the route that the rollout wants. */
export function isRouteInForce(rollout: Rollout, { routeInForce, replicas, waves }: RolloutObservation): boolean {
  return routeInForce !== undefined && isSameTraffic(routeInForce, desiredRoute(rollout, replicas, waves));
}

/** What keeps a step that has begun from ending, for people; undefined when it may end. */
export function stepObstacle(rollout: Rollout, observation: RolloutObservation, now: number): string | undefined {
  const step = currentStep(rollout);
  if (step.traffic === "rolling" && !isRolled(rollout, observation.replicas)) {
    const { newReady } = rollingReady(rollout, observation.replicas);
    return `${newReady} of ${fullScale(rollout, observation.replicas)} replicas are exchanged`;
  }
  const percent = Math.max(step.weightPercent, step.readyPercent);
  if (!carries(rollout, observation, { wave: step.wave, percent })) return "too few ready replicas";
  if (!isRouteInForce(rollout, observation)) return "a serving node has not applied the route";
  if (rollout.promoteRequested) return undefined;
  return evidenceObstacle(rollout, step, now) ?? (step.manual ? WAITS_FOR_PERSON : undefined);
}

function evidenceObstacle(rollout: Rollout, step: ResolvedStep, now: number): string | undefined {
  const seen = seenAtStep(rollout);
  if (seen < BigInt(step.minRequests)) {
    const what = step.traffic === "mirror" ? "mirrored answers compared" : `requests seen at ${step.weightPercent} %`;
    return `${seen} of ${step.minRequests} ${what}`;
  }
  const passed = rollout.verdict?.kind === VerdictKind.PASS;
  if (now < (holdEndsAt(rollout) ?? 0) && !(step.endsOnPass && passed)) {
    return `held at ${step.weightPercent} % for ${step.holdSeconds} s`;
  }
  return needsPass(rollout) && !passed ? "the judge has not passed it yet" : undefined;
}

/** What a step's least requests are compared with: requests answered, of a mirror answers compared. */
export function seenAtStep(rollout: Rollout): bigint {
  const isMirror = currentStep(rollout).traffic === "mirror";
  return (isMirror ? rollout.comparisons?.compared : rollout.stepCanary?.requests) ?? 0n;
}

/**
 * Tells whether a step ends on the judge's word alone: the last one before all traffic, where the analysis asks for it and
 * any step was judged.
 */
export function needsPass(rollout: Rollout): boolean {
  if (!rollout.analysis?.passRequired || rollout.unjudged) return false;
  const steps = rolloutSteps(rollout);
  return rollout.step === steps.length - 2 && steps.slice(0, -1).some((step) => step.judged);
}
