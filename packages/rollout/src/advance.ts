import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ArmCountsSchema, type Rollout, RolloutState } from "@kedge/proto";
import { countsOf } from "./capacity.ts";
import { newShare } from "./desired.ts";
import type { RolloutObservation } from "./observation.ts";
import { carries, isRouteInForce, stepObstacle } from "./step-completion.ts";
import { currentStep, isPlainFinal, rolloutSteps } from "./steps.ts";
import { deadlineAt, retireAt } from "./timing.ts";
import { move } from "./transition.ts";

/** Moves a rollout on by one transition, in place, if its state and the world allow it. Tells whether it did. */
export function advance(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  switch (draft.state) {
    case RolloutState.PREPARING:
      return beginStep(draft, observation, now);
    case RolloutState.PROGRESSING:
      return draft.stepStartedAt === undefined ? beginStep(draft, observation, now) : endStep(draft, observation, now);
    case RolloutState.PROMOTING:
      return promote(draft, observation, now);
    case RolloutState.ROLLING_BACK:
      return rollBack(draft, observation, now);
    default:
      return false;
  }
}

function beginStep(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  const step = currentStep(draft);
  if (!carries(observation, draft.toRevision, step.weightPercent)) return false;
  if (isPlainFinal(step)) {
    draft.stepStartedAt = undefined;
    move(draft, { to: RolloutState.PROMOTING, now, reason: `all traffic to revision ${draft.toRevision}` });
    return true;
  }
  draft.stepStartedAt = timestampFromMs(now);
  draft.stepCanary = create(ArmCountsSchema);
  const { ready, desired } = countsOf(observation.replicas, draft.toRevision);
  const reason = `step ${draft.step + 1}: ${step.weightPercent} % on ${ready} of ${desired} ready replicas`;
  move(draft, { to: RolloutState.PROGRESSING, now, reason });
  return true;
}

function endStep(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  if (stepObstacle(draft, observation, now) !== undefined) return false;
  const asked = draft.promoteRequested ? ", promoted by the user" : "";
  const reason = `step ${draft.step + 1} done after ${draft.stepCanary?.requests ?? 0n} requests${asked}`;
  const ended = currentStep(draft);
  draft.promoteRequested = false;
  draft.stepStartedAt = undefined;
  if (draft.step + 1 >= rolloutSteps(draft).length) {
    move(draft, { to: RolloutState.PROMOTING, now, reason });
    return true;
  }
  draft.step += 1;
  move(draft, { to: RolloutState.PROGRESSING, now, reason, weightPercent: ended.weightPercent });
  return true;
}

function promote(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  const first = draft.fromRevision === 0;
  const whole = first || carries(observation, draft.toRevision, 100);
  if (!whole || !isRouteInForce(draft, observation)) {
    // A node that joins, or a replica that dies, while the old replicas are kept: wait for it again.
    draft.stepStartedAt = undefined;
    if (!first || now < deadlineAt(draft)) return false;
    move(draft, { to: RolloutState.SUCCEEDED, now, reason: "serves; not every node has applied the route in time" });
    return true;
  }
  draft.stepStartedAt ??= timestampFromMs(now);
  if (now < (retireAt(draft) ?? 0)) return false;
  move(draft, { to: RolloutState.SUCCEEDED, now, reason: `revision ${draft.toRevision} serves all traffic` });
  return true;
}

function rollBack(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  const share = newShare(draft, observation.replicas);
  const percent = share / 100;
  if (percent < (draft.transitions.at(-1)?.weightPercent ?? 0)) {
    const reason =
      percent === 0
        ? "the old revision carries all traffic"
        : `${percent} % has to stay for now: ${oldReady(draft, observation)}`;
    move(draft, { to: RolloutState.ROLLING_BACK, now, reason, weightPercent: percent });
    return true;
  }
  const gone = share === 0 && isOffNewRevision(draft, observation);
  if (!gone && !mayGiveUp(draft, observation, now)) return false;
  const reason = gone ? "no node routes to it any more" : `given up waiting: ${oldReady(draft, observation)}`;
  move(draft, { to: RolloutState.ROLLED_BACK, now, reason, weightPercent: 0 });
  return true;
}

function isOffNewRevision(draft: Rollout, { routeInForce }: RolloutObservation): boolean {
  // Before a first revision has served there may be no route at all.
  if (routeInForce === undefined) return draft.fromRevision === 0;
  return routeInForce.every((split) => split.revision !== draft.toRevision || split.basisPoints === 0);
}

/** Past the deadline a roll-back ends as long as that takes the traffic from nobody who serves it. */
function mayGiveUp(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  if (now < deadlineAt(draft)) return false;
  if (draft.fromRevision === 0) return true;
  const oldServes = countsOf(observation.replicas, draft.fromRevision).ready > 0;
  const newServes = countsOf(observation.replicas, draft.toRevision).ready > 0;
  return oldServes || !newServes;
}

function oldReady(draft: Rollout, observation: RolloutObservation): string {
  const { ready, desired } = countsOf(observation.replicas, draft.fromRevision);
  return `${ready} of ${desired} replicas of revision ${draft.fromRevision} are ready`;
}
