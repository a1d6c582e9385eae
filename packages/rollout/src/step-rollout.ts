import { clone, equals } from "@bufbuild/protobuf";
import { isRolloutEnded } from "@kedge/domain";
import { PauseCause, type Rollout, RolloutSchema, RolloutState } from "@kedge/proto";
import { absorb, absorbVerdict } from "./absorb.ts";
import { advance } from "./advance.ts";
import { isJudged } from "./desired-route.ts";
import { findDelay, findFailure } from "./find-failure.ts";
import { type RolloutObservation, withoutEvidence } from "./observation.ts";
import { rollReplicas } from "./rolling.ts";
import { stepInForce } from "./share.ts";
import { deadlineAt, holdEndsAt, retireAt } from "./timing.ts";
import { beginPause, beginRollback, endPause, type Failure } from "./transition.ts";

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
  /** The state, the step, the share or a target moved: store the rollout before acting on it. Else only counts changed. */
  readonly moved: boolean;
  /** Look again after this time even if nothing happens; absent when time alone changes nothing. */
  readonly checkAfterMs?: number;
}

/** No rollout takes more transitions than this in one step; a bound on defects, not a limit to meet. */
const MAX_MOVES = 256;

/**
 * Moves a rollout on as far as the observation allows. Pure; the same input again changes nothing more. Ended rollouts
 * stay as they are. What the world must look like afterwards: `desiredRoute`, `desiredScales`.
 */
export function stepRollout({ rollout, now, observation: seen }: StepInput): RolloutStep {
  if (isRolloutEnded(rollout.state)) return { rollout, changed: false, moved: false };
  const isOwn = seen.rolloutId === undefined || seen.rolloutId === rollout.id;
  const observation = isOwn ? seen : withoutEvidence(seen);
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
  absorbVerdict(draft, observation);
  const failure = findFailure(draft, observation, now);
  if (failure !== undefined) return fail(draft, now, failure);
  if (followMetrics(draft, observation, now)) return true;
  if (rollReplicas(draft, observation.replicas, now) || advance(draft, observation, now)) return true;
  const delay = findDelay(draft, observation, now);
  return delay !== undefined && fail(draft, now, delay);
}

function fail(draft: Rollout, now: number, failure: Failure): boolean {
  if (failure.pause === undefined) {
    beginRollback(draft, now, failure);
    return true;
  }
  // What a person or the deadline has paused stays so, and is held for this reason once it goes on.
  if (draft.state === RolloutState.PAUSED) return holdForGood(draft, failure.pause);
  beginPause(draft, now, { cause: failure.pause, reason: failure.reason });
  return true;
}

/** A pause that would end by itself no longer does. */
function holdForGood(draft: Rollout, cause: PauseCause): boolean {
  if (draft.pauseCause === PauseCause.METRICS_MISSING) draft.pauseCause = cause;
  return false;
}

/** A judge that sees nothing holds a rollout, until it sees again. */
function followMetrics(draft: Rollout, { metricsMissing }: RolloutObservation, now: number): boolean {
  if (draft.state === RolloutState.PAUSED) {
    if (draft.pauseCause !== PauseCause.METRICS_MISSING || metricsMissing !== undefined) return false;
    endPause(draft, now, "the metrics are back");
    return true;
  }
  if (metricsMissing === undefined || stepInForce(draft) === undefined || !isJudged(draft)) return false;
  beginPause(draft, now, { cause: PauseCause.METRICS_MISSING, reason: `the judge sees nothing: ${metricsMissing}` });
  return true;
}

function nextCheck(rollout: Rollout, now: number): number | undefined {
  if (isRolloutEnded(rollout.state) || rollout.state === RolloutState.PAUSED) return undefined;
  const times = [holdEndsAt(rollout), retireAt(rollout), deadlineAt(rollout)];
  const ahead = times.filter((time): time is number => time !== undefined && time > now);
  return ahead.length === 0 ? undefined : Math.min(...ahead) - now;
}
