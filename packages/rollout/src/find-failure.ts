import { isRolloutEnded } from "@kedge/domain";
import { type Rollout, RolloutCause, RolloutState, VerdictKind } from "@kedge/proto";
import { countsOf } from "./capacity.ts";
import { phaseOf } from "./desired.ts";
import type { RolloutObservation } from "./observation.ts";
import { stepObstacle, WAITS_FOR_PERSON } from "./step-completion.ts";
import { currentStep } from "./steps.ts";
import { deadlineAt } from "./timing.ts";
import type { Failure } from "./transition.ts";

/** The reason to send a rollout back at once, if there is one. The judge's word comes first: it is the one to act on. */
export function findFailure(rollout: Rollout, observation: RolloutObservation): Failure | undefined {
  if (!mayFail(rollout)) return undefined;
  return judged(rollout) ?? replicaFailed(rollout, observation) ?? superseded(rollout, observation);
}

/** The failure of a rollout that cannot move on and has passed its deadline. To be asked only when it cannot. */
export function findDelay(rollout: Rollout, observation: RolloutObservation, now: number): Failure | undefined {
  if (!mayFail(rollout) || rollout.state === RolloutState.PAUSED || now < deadlineAt(rollout)) return undefined;
  const obstacle = slowBecause(rollout, observation, now);
  if (obstacle === WAITS_FOR_PERSON) return undefined;
  return {
    cause: RolloutCause.DEADLINE,
    reason: `no progress for ${rollout.progressDeadlineSeconds} s: ${obstacle}`,
  };
}

function mayFail(rollout: Rollout): boolean {
  const phase = phaseOf(rollout);
  if (isRolloutEnded(phase) || phase === RolloutState.ROLLING_BACK) return false;
  // Nothing to go back to once a first revision serves.
  return phase !== RolloutState.PROMOTING || rollout.fromRevision !== 0;
}

function judged(rollout: Rollout): Failure | undefined {
  if (rollout.unjudged || rollout.verdict?.kind !== VerdictKind.ROLLBACK) return undefined;
  return { cause: RolloutCause.JUDGE, reason: `the judge says roll back: ${rollout.verdict.reason}` };
}

function replicaFailed(rollout: Rollout, observation: RolloutObservation): Failure | undefined {
  const counts = countsOf(observation.replicas, rollout.toRevision);
  if (counts.failed === 0) return undefined;
  const detail = counts.message === undefined ? "" : `: ${counts.message}`;
  return {
    cause: RolloutCause.REPLICA_FAILED,
    reason: `${counts.failed} of ${counts.desired} replicas of revision ${rollout.toRevision} failed${detail}`,
  };
}

function superseded(rollout: Rollout, observation: RolloutObservation): Failure | undefined {
  // A promotion is about to end anyway, and its traffic has moved already.
  if (observation.supersededBy === undefined || rollout.state === RolloutState.PROMOTING) return undefined;
  return { cause: RolloutCause.SUPERSEDED, reason: `superseded by revision ${observation.supersededBy}` };
}

function slowBecause(rollout: Rollout, observation: RolloutObservation, now: number): string {
  const { ready, desired } = countsOf(observation.replicas, rollout.toRevision);
  const stepRuns = rollout.state === RolloutState.PROGRESSING && rollout.stepStartedAt !== undefined;
  if (stepRuns) return stepObstacle(rollout, observation, now) ?? "the step does not end";
  const percent = rollout.state === RolloutState.PROMOTING ? 100 : currentStep(rollout).weightPercent;
  return `${ready} of ${desired} replicas of revision ${rollout.toRevision} are ready, ${percent} % wanted on them`;
}
