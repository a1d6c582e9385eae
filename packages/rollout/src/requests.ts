import { clone } from "@bufbuild/protobuf";
import { isRolloutEnded } from "@kedge/domain";
import { PauseCause, type Rollout, RolloutCause, RolloutSchema, RolloutState } from "@kedge/proto";
import { phaseOf } from "./share.ts";
import { beginPause, beginRollback, endPause } from "./transition.ts";

/**
 * Asks to pass the current step: a manual one, or the rest of one. Only while progressing, paused or not; else the
 * same object is returned. Ready replicas and an acknowledged route are still waited for.
 */
export function promoteRollout(rollout: Rollout): Rollout {
  if (phaseOf(rollout) !== RolloutState.PROGRESSING || rollout.promoteRequested) return rollout;
  const draft = clone(RolloutSchema, rollout);
  draft.promoteRequested = true;
  return draft;
}

/** Holds a rollout where it is. Only while preparing or progressing; else the same object is returned. */
export function pauseRollout(rollout: Rollout, now: number, reason = "paused by the user"): Rollout {
  if (rollout.state !== RolloutState.PREPARING && rollout.state !== RolloutState.PROGRESSING) return rollout;
  const draft = clone(RolloutSchema, rollout);
  beginPause(draft, now, { cause: PauseCause.USER, reason });
  return draft;
}

/**
 * Goes on after a pause; the deadline counts from now. Who resumes what the analysis has paused overrules it: it has no
 * more say in this rollout. The same object is returned when it is not paused.
 */
export function resumeRollout(rollout: Rollout, now: number, reason = "resumed by the user"): Rollout {
  if (rollout.state !== RolloutState.PAUSED) return rollout;
  const draft = clone(RolloutSchema, rollout);
  const overrules = rollout.pauseCause === PauseCause.ANALYSIS;
  if (overrules) draft.unjudged = true;
  endPause(draft, now, overrules ? `${reason}, against the analysis; it is not asked again` : reason);
  return draft;
}

/** Sends a rollout back. The same object is returned when it goes back already or has ended. */
export function abortRollout(rollout: Rollout, now: number, reason = "aborted by the user"): Rollout {
  if (isRolloutEnded(rollout.state) || rollout.state === RolloutState.ROLLING_BACK) return rollout;
  const draft = clone(RolloutSchema, rollout);
  beginRollback(draft, now, { cause: RolloutCause.ABORTED_BY_USER, reason });
  return draft;
}
