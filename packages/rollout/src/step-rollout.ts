import { clone, equals } from "@bufbuild/protobuf";
import { isRolloutEnded } from "@kedge/domain";
import { type Rollout, RolloutSchema, RolloutState } from "@kedge/proto";
import { absorb } from "./absorb.ts";
import { advance } from "./advance.ts";
import { findDelay, findFailure } from "./find-failure.ts";
import type { RolloutObservation } from "./observation.ts";
import { deadlineAt, holdEndsAt, retireAt } from "./timing.ts";
import { beginRollback } from "./transition.ts";

/** What a step starts from. `now` is in milliseconds since 1970. */
export interface StepInput {
  readonly rollout: Rollout;
  readonly now: number;
  readonly observation: RolloutObservation;
}

/** What a step comes to. */
export interface RolloutStep {
  /** A new object when anything changed, else the one given. */
  readonly rollout: Rollout;
  readonly changed: boolean;
  /** The state, the step or the share moved: store the rollout before acting on it. Else only counts changed. */
  readonly moved: boolean;
  /** Look again after this time even if nothing happens; absent when time alone changes nothing. */
  readonly checkAfterMs?: number;
}

/** No rollout takes more transitions than this in one step; a bound on defects, not a limit to meet. */
const MAX_MOVES = 256;

/**
 * Moves a rollout on as far as the observation allows. Pure; the same input again changes nothing more. Ended rollouts
 * stay as they are. What the world must look like afterwards: `desiredRoute`, `desiredRevisions`.
 */
export function stepRollout({ rollout, now, observation }: StepInput): RolloutStep {
  if (isRolloutEnded(rollout.state)) return { rollout, changed: false, moved: false };
  const draft = clone(RolloutSchema, rollout);
  absorb(draft, observation, now);
  let moved = false;
  for (let moves = 0; moves < MAX_MOVES && moveOnce(draft, observation, now); moves++) moved = true;
  const changed = moved || !equals(RolloutSchema, draft, rollout);
  const checkAfterMs = nextCheck(draft, now);
  return {
    rollout: changed ? draft : rollout,
    changed,
    moved,
    ...(checkAfterMs === undefined ? {} : { checkAfterMs }),
  };
}

function moveOnce(draft: Rollout, observation: RolloutObservation, now: number): boolean {
  const failure = findFailure(draft, observation);
  if (failure === undefined && advance(draft, observation, now)) return true;
  const end = failure ?? findDelay(draft, observation, now);
  if (end === undefined) return false;
  beginRollback(draft, now, end);
  return true;
}

function nextCheck(rollout: Rollout, now: number): number | undefined {
  if (isRolloutEnded(rollout.state) || rollout.state === RolloutState.PAUSED) return undefined;
  const times = [holdEndsAt(rollout), retireAt(rollout), deadlineAt(rollout)];
  const ahead = times.filter((time): time is number => time !== undefined && time > now);
  return ahead.length === 0 ? undefined : Math.min(...ahead) - now;
}
