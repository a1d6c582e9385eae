import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isRolloutEnded } from "@kedge/domain";
import { PauseCause, type Rollout, type RolloutCause, RolloutState, RolloutTransitionSchema } from "@kedge/proto";
import { nominalPercent } from "./share.ts";
import { waveCount } from "./strategy-steps.ts";

const MAX_TRANSITIONS = 64;

/** What `move` writes down. */
export interface Move {
  readonly to: RolloutState;
  readonly now: number;
  readonly reason: string;
  /** Default: the nominal share of the state moved to. */
  readonly weightPercent?: number;
}

/**
 * Changes a rollout's state in place and appends the transition; the oldest of more than 64 is dropped. While traffic is
 * taken back bit by bit the newest bit replaces the one before, so that the reason for going back is not pushed out.
 */
export function move(draft: Rollout, { to, now, reason, weightPercent }: Move): void {
  const from = draft.state;
  draft.state = to;
  draft.progressAt = timestampFromMs(now);
  if (isRolloutEnded(to)) draft.finishedAt = timestampFromMs(now);
  const last = draft.transitions.at(-1);
  const goesOnBack = from === RolloutState.ROLLING_BACK && to === from && last?.from === from && last.to === to;
  if (goesOnBack) draft.transitions.pop();
  draft.transitions.push(
    create(RolloutTransitionSchema, {
      at: timestampFromMs(now),
      from,
      to,
      weightPercent: weightPercent ?? nominalPercent(draft),
      reason,
    }),
  );
  if (draft.transitions.length > MAX_TRANSITIONS)
    draft.transitions.splice(0, draft.transitions.length - MAX_TRANSITIONS);
}

/** Why a rollout is given up, or held. */
export interface Failure {
  readonly cause: RolloutCause;
  readonly reason: string;
  /** Hold it where it is instead, if this is set. */
  readonly pause?: PauseCause;
}

/** Sends a rollout back, in place. Traffic that the old revision cannot carry yet may stay; see `newShare`. */
export function beginRollback(draft: Rollout, now: number, { cause, reason }: Failure): void {
  const weightPercent = nominalPercent(draft);
  draft.leftPercent = Array.from({ length: waveCount(draft) }, (_, wave) => nominalPercent(draft, wave));
  draft.cause = cause;
  leaveStep(draft);
  draft.pausedFrom = RolloutState.UNSPECIFIED;
  draft.pauseCause = PauseCause.UNSPECIFIED;
  move(draft, { to: RolloutState.ROLLING_BACK, now, reason, weightPercent });
}

/** Holds a rollout where it is, in place. */
export function beginPause(draft: Rollout, now: number, pause: { readonly cause: PauseCause; reason: string }): void {
  draft.pausedFrom = draft.state;
  draft.pauseCause = pause.cause;
  move(draft, { to: RolloutState.PAUSED, now, reason: pause.reason });
}

/** Goes on after a pause, in place; the deadline counts from now. */
export function endPause(draft: Rollout, now: number, reason: string): void {
  const to = draft.pausedFrom;
  draft.pausedFrom = RolloutState.UNSPECIFIED;
  draft.pauseCause = PauseCause.UNSPECIFIED;
  move(draft, { to, now, reason });
}

/** Forgets what was asked for and waited for in a step, in place. */
export function leaveStep(draft: Rollout): void {
  draft.promoteRequested = false;
  draft.waitsForPerson = false;
}
