import { isRolloutEnded } from "@kedge/domain";
import {
  AnalysisAction,
  DeadlineAction,
  PauseCause,
  type Rollout,
  RolloutCause,
  RolloutState,
  VerdictKind,
} from "@kedge/proto";
import { countsOf } from "./capacity.ts";
import { isJudged } from "./desired-route.ts";
import { fleetHealth } from "./fleet.ts";
import { localFailure } from "./local-decisions.ts";
import type { RolloutObservation } from "./observation.ts";
import { phaseOf, stepInForce } from "./share.ts";
import { carriesAll, isRouteInForce, stepObstacle, WAITS_FOR_PERSON } from "./step-completion.ts";
import { currentStep, maxFailedPercent } from "./strategy-steps.ts";
import { deadlineAt, holdEndsAt } from "./timing.ts";
import type { Failure } from "./transition.ts";

/** The reason to send a rollout back or to hold it, if there is one. The judge's word comes first: it is the one to act on. */
export function findFailure(rollout: Rollout, observation: RolloutObservation, now: number): Failure | undefined {
  if (!mayFail(rollout)) return undefined;
  return (
    judged(rollout) ??
    localFailure(rollout, observation) ??
    compared(rollout, now) ??
    replicaFailed(rollout, observation) ??
    superseded(rollout, observation)
  );
}

/** The failure of a rollout that cannot move on and has passed its deadline. To be asked only when it cannot. */
export function findDelay(rollout: Rollout, observation: RolloutObservation, now: number): Failure | undefined {
  if (!mayFail(rollout) || rollout.state === RolloutState.PAUSED || now < deadlineAt(rollout)) return undefined;
  const obstacle = slowBecause(rollout, observation, now);
  if (obstacle === WAITS_FOR_PERSON || (rollout.waitsForPerson && !rollout.promoteRequested)) return undefined;
  const pauses = rollout.strategy?.deadlineAction === DeadlineAction.PAUSE || isBetterThanBack(rollout, observation);
  return {
    cause: RolloutCause.DEADLINE,
    reason: `no progress for ${rollout.progressDeadlineSeconds} s: ${obstacle ?? "it does not move on"}`,
    ...(pauses ? { pause: PauseCause.DEADLINE } : {}),
  };
}

function mayFail(rollout: Rollout): boolean {
  const phase = phaseOf(rollout);
  if (isRolloutEnded(phase) || phase === RolloutState.ROLLING_BACK) return false;
  // Nothing to go back to once a first revision serves.
  return phase !== RolloutState.PROMOTING || rollout.fromRevision !== 0;
}

function judged(rollout: Rollout): Failure | undefined {
  if (!isJudged(rollout) || rollout.verdict?.kind !== VerdictKind.ROLLBACK) return undefined;
  return byAnalysis(rollout, RolloutCause.JUDGE, `the judge says roll back: ${rollout.verdict.reason}`);
}

/** Only once the run is over: the judge, which may look at any time, has its own way to end it before that. */
function compared(rollout: Rollout, now: number): Failure | undefined {
  const kind = rollout.strategy?.kind;
  const step = stepInForce(rollout);
  if (kind?.case !== "shadow" || step?.traffic !== "mirror" || rollout.unjudged) return undefined;
  const { compared, differing } = rollout.comparisons ?? { compared: 0n, differing: 0n };
  if (compared < BigInt(step.minRequests) || now < (holdEndsAt(rollout) ?? 0)) return undefined;
  const allowed = kind.value.maxDifferingBasisPoints;
  if (differing * 10_000n <= compared * BigInt(allowed)) return undefined;
  const reason = `${differing} of ${compared} mirrored answers differ, ${allowed / 100} % may`;
  return byAnalysis(rollout, RolloutCause.COMPARISON, reason);
}

function byAnalysis(rollout: Rollout, cause: RolloutCause, reason: string): Failure {
  const pauses = rollout.analysis?.action === AnalysisAction.PAUSE;
  return { cause, reason, ...(pauses ? { pause: PauseCause.ANALYSIS } : {}) };
}

function replicaFailed(rollout: Rollout, observation: RolloutObservation): Failure | undefined {
  const allowed = maxFailedPercent(rollout);
  if (allowed > 0) {
    const { failed, reached, isTooMany } = fleetHealth(rollout, observation);
    if (!isTooMany) return undefined;
    const reason = `revision ${rollout.toRevision} failed on ${failed} of ${reached} nodes, ${allowed} % may`;
    return { cause: RolloutCause.FLEET_FAILURES, reason };
  }
  const counts = countsOf(observation.replicas, rollout.toRevision);
  if (counts.failed === 0 || isBetterThanBack(rollout, observation)) return undefined;
  const detail = counts.message === undefined ? "" : `: ${counts.message}`;
  return {
    cause: RolloutCause.REPLICA_FAILED,
    reason: `${counts.failed} of ${counts.desired} replicas of revision ${rollout.toRevision} failed${detail}`,
  };
}

/** A return that serves at all does not give the traffic back to what it was to get away from; people are asked instead. */
function isBetterThanBack(rollout: Rollout, observation: RolloutObservation): boolean {
  return rollout.returning && countsOf(observation.replicas, rollout.toRevision).ready > 0;
}

function superseded(rollout: Rollout, observation: RolloutObservation): Failure | undefined {
  // A promotion is about to end anyway, and its traffic has moved already. A return goes away from something worse.
  if (observation.supersededBy === undefined || rollout.returning) return undefined;
  if (rollout.state === RolloutState.PROMOTING) return undefined;
  return { cause: RolloutCause.SUPERSEDED, reason: `superseded by revision ${observation.supersededBy}` };
}

/**
 * What a rollout waits for, for people: why it is where it is and what would move it on. Undefined once it has ended, or
 * when nothing keeps it.
 */
export function rolloutObstacle(rollout: Rollout, observation: RolloutObservation, now: number): string | undefined {
  switch (rollout.state) {
    case RolloutState.PAUSED:
      return `paused: ${rollout.transitions.at(-1)?.reason ?? ""}`;
    case RolloutState.ROLLING_BACK: {
      if (rollout.fromRevision === 0) return "a node may still route to it";
      const { ready, desired } = countsOf(observation.replicas, rollout.fromRevision);
      return `${ready} of ${desired} replicas of revision ${rollout.fromRevision} are ready to take the traffic back`;
    }
    case RolloutState.PREPARING:
    case RolloutState.PROGRESSING:
    case RolloutState.PROMOTING:
      return slowBecause(rollout, observation, now);
    default:
      return undefined;
  }
}

function slowBecause(rollout: Rollout, observation: RolloutObservation, now: number): string | undefined {
  const { ready, desired } = countsOf(observation.replicas, rollout.toRevision);
  if (rollout.state === RolloutState.PROGRESSING && rollout.stepStartedAt !== undefined)
    return stepObstacle(rollout, observation, now);
  if (rollout.state === RolloutState.PROMOTING && carriesAll(rollout, observation))
    return isRouteInForce(rollout, observation) ? "requests under way end" : "a serving node has not applied the route";
  const percent = rollout.state === RolloutState.PROMOTING ? 100 : currentStep(rollout).readyPercent;
  return `${ready} of ${desired} replicas of revision ${rollout.toRevision} are ready, ${percent} % wanted on them`;
}
