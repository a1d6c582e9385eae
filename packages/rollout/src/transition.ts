import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isRolloutEnded } from "@kedge/domain";
import { type Rollout, type RolloutCause, RolloutState, RolloutTransitionSchema } from "@kedge/proto";
import { nominalPercent } from "./desired.ts";

const MAX_TRANSITIONS = 64;

/** What `move` writes down. */
export interface Move {
  readonly to: RolloutState;
  readonly now: number;
  readonly reason: string;
  /** Default: the nominal share of the state moved to. */
  readonly weightPercent?: number;
}

/** Changes a rollout's state in place and appends the transition; the oldest of more than 64 is dropped. */
export function move(draft: Rollout, { to, now, reason, weightPercent }: Move): void {
  const from = draft.state;
  draft.state = to;
  draft.progressAt = timestampFromMs(now);
  if (isRolloutEnded(to)) draft.finishedAt = timestampFromMs(now);
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

/** Why a rollout is given up. */
export interface Failure {
  readonly cause: RolloutCause;
  readonly reason: string;
}

/** Sends a rollout back, in place. Traffic that the old revision cannot carry yet may stay; see `nominalPercent`. */
export function beginRollback(draft: Rollout, now: number, failure: Failure): void {
  const weightPercent = nominalPercent(draft);
  draft.cause = failure.cause;
  draft.promoteRequested = false;
  draft.pausedFrom = RolloutState.UNSPECIFIED;
  move(draft, { to: RolloutState.ROLLING_BACK, now, reason: failure.reason, weightPercent });
}
