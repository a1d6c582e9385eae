import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Rollout, RolloutState } from "@kedge/proto";
import { currentStep } from "./strategy-steps.ts";

/** How long a promotion waits once all traffic is off the old replicas, so that requests under way can end. */
const RETIRE_DELAY_MS = 10_000;
const DEFAULT_DEADLINE_SECONDS = 600;

/** When the current step's hold ends, milliseconds since 1970; undefined while the step has not begun. */
export function holdEndsAt(rollout: Rollout): number | undefined {
  if (rollout.state !== RolloutState.PROGRESSING || rollout.stepStartedAt === undefined) return undefined;
  return timestampMs(rollout.stepStartedAt) + currentStep(rollout).holdSeconds * 1000;
}

/** When the old replicas may go; undefined while traffic is not known to be off them. */
export function retireAt(rollout: Rollout): number | undefined {
  if (rollout.state !== RolloutState.PROMOTING || rollout.stepStartedAt === undefined) return undefined;
  return timestampMs(rollout.stepStartedAt) + (rollout.fromRevision === 0 ? 0 : RETIRE_DELAY_MS);
}

/** When a rollout without progress is given up. The time it holds or waits on purpose does not count. */
export function deadlineAt(rollout: Rollout): number {
  const since = rollout.progressAt ?? rollout.startedAt;
  const sinceMs = since === undefined ? 0 : timestampMs(since);
  const deadlineMs = (rollout.progressDeadlineSeconds || DEFAULT_DEADLINE_SECONDS) * 1000;
  return Math.max(sinceMs, holdEndsAt(rollout) ?? 0, retireAt(rollout) ?? 0) + deadlineMs;
}

/** Until when the old replicas are kept after a promotion; undefined when they are not. */
export function warmUntil(rollout: Rollout): number | undefined {
  // What was left for a reason is not kept warm, and a rolling rollout has taken the old replicas away already.
  if (rollout.returning || rollout.rolling !== undefined) return undefined;
  return afterPromotion(rollout, rollout.strategy?.scaleDownDelaySeconds);
}

/** Until when an incident brings the previous revision back; undefined when none does. No return is watched. */
export function watchUntil(rollout: Rollout): number | undefined {
  return rollout.returning ? undefined : afterPromotion(rollout, rollout.analysis?.watchSeconds);
}

function afterPromotion(rollout: Rollout, seconds = 0): number | undefined {
  if (rollout.state !== RolloutState.SUCCEEDED || rollout.fromRevision === 0 || seconds === 0) return undefined;
  return rollout.finishedAt === undefined ? undefined : timestampMs(rollout.finishedAt) + seconds * 1000;
}
