import { type Rollout, RolloutState } from "@kedge/proto";
import { countsOf } from "./capacity.ts";
import { isRoutedTo } from "./desired-route.ts";
import type { RolloutObservation } from "./observation.ts";
import { newShare } from "./share.ts";
import { deadlineAt } from "./timing.ts";
import { move } from "./transition.ts";

/** Takes traffic off the new revision as the old one can carry it, in place, by one transition at most; ends when none is left. */
export function takeBack(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  const shares = draft.leftPercent.map((_, wave) => newShare(draft, observation, wave) / 100);
  const most = Math.max(0, ...shares);
  if (shares.some((share, wave) => share < (draft.leftPercent[wave] ?? 0))) {
    draft.leftPercent = shares;
    const reason =
      most === 0
        ? "the old revision carries all traffic"
        : `${most} % has to stay for now: ${oldReady(draft, observation)}`;
    move(draft, { to: RolloutState.ROLLING_BACK, now, reason, weightPercent: most });
    return true;
  }
  const gone = most === 0 && isOffNewRevision(draft, observation);
  if (!gone && !mayGiveUp(draft, observation, now)) return false;
  const reason = gone ? "no node routes to it any more" : `given up waiting: ${oldReady(draft, observation)}`;
  move(draft, { to: RolloutState.ROLLED_BACK, now, reason, weightPercent: 0 });
  return true;
}

function isOffNewRevision(draft: Rollout, { routeInForce }: RolloutObservation): boolean {
  // Before a first revision has served there may be no route at all.
  if (routeInForce === undefined) return draft.fromRevision === 0;
  return !isRoutedTo(routeInForce, draft.toRevision);
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
