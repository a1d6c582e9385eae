import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isRolloutEnded } from "@kedge/domain";
import { PauseCause, type Rollout, type RolloutOutlook, RolloutOutlookSchema, RolloutState } from "@kedge/proto";
import { isJudged } from "./desired-route.ts";
import { rolloutObstacle } from "./find-failure.ts";
import { judgementOf } from "./judgement.ts";
import type { RolloutObservation } from "./observation.ts";
import { phaseOf } from "./share.ts";
import { needsPass, seenAtStep } from "./step-completion.ts";
import { currentStep, isPlainFinal, type ResolvedStep, rolloutSteps } from "./strategy-steps.ts";
import { deadlineAt, holdEndsAt, warmUntil, watchUntil } from "./timing.ts";

/**
 * What a rollout waits for, what comes then and when, and what a person can do about it; for every state and strategy.
 * `now` is in milliseconds since 1970. The rate is the mean since the step began.
 */
export function rolloutOutlook(rollout: Rollout, observation: RolloutObservation, now: number): RolloutOutlook {
  const endsAt = stepEndsAt(rollout, now);
  const deadline = hasDeadline(rollout) ? deadlineAt(rollout) : undefined;
  return create(RolloutOutlookSchema, {
    waitsFor: rolloutObstacle(rollout, observation, now) ?? "",
    next: nextOf(rollout, now),
    commands: commandsFor(rollout),
    requestsMissing: requestsMissing(rollout),
    requestsPerSecond: ratePerSecond(rollout, now),
    evidenceNeeded: hasJudge(rollout) ? 1 / judgementOf(rollout).alpha : 0,
    ...(endsAt === undefined ? {} : { stepEndsAt: timestampFromMs(endsAt) }),
    ...(deadline === undefined ? {} : { deadlineAt: timestampFromMs(deadline) }),
  });
}

function isAtStep({ state, stepStartedAt }: Rollout): boolean {
  return state === RolloutState.PROGRESSING && stepStartedAt !== undefined;
}

function hasJudge(rollout: Rollout): boolean {
  return rollout.fromRevision > 0 && !isRolloutEnded(rollout.state) && isJudged(rollout);
}

function requestsMissing(rollout: Rollout): bigint {
  if (!isAtStep(rollout) || rollout.promoteRequested) return 0n;
  const missing = BigInt(currentStep(rollout).minRequests) - seenAtStep(rollout);
  return missing > 0n ? missing : 0n;
}

function ratePerSecond(rollout: Rollout, now: number): number {
  const { stepStartedAt } = rollout;
  if (stepStartedAt === undefined || phaseOf(rollout) !== RolloutState.PROGRESSING) return 0;
  return Number(seenAtStep(rollout)) / Math.max(1, (now - timestampMs(stepStartedAt)) / 1000);
}

/** A person's word and the judge's cannot be foretold. */
function stepEndsAt(rollout: Rollout, now: number): number | undefined {
  if (!isAtStep(rollout) || rollout.waitsForPerson || needsPass(rollout)) return undefined;
  const missing = Number(requestsMissing(rollout));
  const rate = ratePerSecond(rollout, now);
  if (missing > 0 && rate === 0) return undefined;
  const seenAt = missing === 0 ? now : Math.ceil(now + (missing / rate) * 1000);
  return Math.max(seenAt, rollout.promoteRequested ? now : (holdEndsAt(rollout) ?? now));
}

function hasDeadline(rollout: Rollout): boolean {
  const { state } = rollout;
  if (isRolloutEnded(state) || state === RolloutState.PAUSED || state === RolloutState.ROLLING_BACK) return false;
  return !(rollout.waitsForPerson && !rollout.promoteRequested);
}

function commandsFor(rollout: Rollout): string[] {
  switch (rollout.state) {
    case RolloutState.PREPARING:
      return ["pause", "abort"];
    case RolloutState.PROGRESSING:
      return ["promote", "pause", "abort"];
    case RolloutState.PAUSED:
      return ["resume", "abort"];
    case RolloutState.PROMOTING:
      return rollout.fromRevision > 0 ? ["abort"] : [];
    case RolloutState.SUCCEEDED:
      return rollout.fromRevision > 0 ? ["rollback"] : [];
    case RolloutState.ROLLED_BACK:
      return ["retry"];
    default:
      return [];
  }
}

function nextOf(rollout: Rollout, now: number): string {
  const { fromRevision, toRevision, pauseCause } = rollout;
  switch (rollout.state) {
    case RolloutState.PREPARING:
    case RolloutState.PROGRESSING:
      return nextStep(rollout);
    case RolloutState.PAUSED:
      return pauseCause === PauseCause.METRICS_MISSING
        ? "it goes on by itself once the metrics are back"
        : `the traffic stays as it is until a person decides; then ${nextStep(rollout)}`;
    case RolloutState.PROMOTING:
      return `revision ${toRevision} is in force${fromRevision > 0 ? `, and revision ${fromRevision} is retired` : ""}`;
    case RolloutState.ROLLING_BACK:
      return fromRevision > 0 ? `revision ${fromRevision} has all traffic again` : "nothing serves";
    case RolloutState.SUCCEEDED:
      return afterwards(rollout, now);
    case RolloutState.ROLLED_BACK:
      return `revision ${toRevision} serves again only when a person asks for it`;
    default:
      return "";
  }
}

function nextStep(rollout: Rollout): string {
  const steps = rolloutSteps(rollout);
  const hasBegun = phaseOf(rollout) === RolloutState.PROGRESSING && rollout.stepStartedAt !== undefined;
  const step = steps[hasBegun ? rollout.step + 1 : rollout.step];
  if (step === undefined) return `revision ${rollout.toRevision} is promoted`;
  const wave = waveName(rollout, step);
  return `${trafficOf(step, rollout.toRevision)}${wave === undefined ? "" : ` on the nodes of wave ${wave}`}`;
}

function trafficOf(step: ResolvedStep, revision: number): string {
  switch (step.traffic) {
    case "preview":
      return `revision ${revision} can be looked at with header kedge-revision, and gets no traffic`;
    case "match":
      return `requests that match go to revision ${revision}`;
    case "mirror":
      return `${step.readyPercent} % of the requests are copied to revision ${revision}`;
    case "rolling":
      return "replicas are exchanged, and traffic follows those that are ready";
    case "return":
      return `traffic goes to revision ${revision} as fast as its replicas are ready`;
    case "split":
      return isPlainFinal(step) || step.weightPercent === 100
        ? `all traffic goes to revision ${revision}`
        : `${step.weightPercent} % of the traffic goes to revision ${revision}`;
    default:
      return step.traffic satisfies never;
  }
}

function waveName({ strategy, fromRevision, returning }: Rollout, { wave }: ResolvedStep): string | undefined {
  if (strategy?.kind.case !== "canary" || fromRevision === 0 || returning) return undefined;
  return strategy.kind.value.waves[wave]?.name;
}

function afterwards(rollout: Rollout, now: number): string {
  const left = (until: number | undefined) => Math.ceil(((until ?? now) - now) / 1000);
  const watched = left(watchUntil(rollout));
  const warm = left(warmUntil(rollout));
  const parts = [
    ...(watched > 0 ? [`an incident within ${watched} s brings revision ${rollout.fromRevision} back`] : []),
    ...(warm > 0 ? [`the replicas of revision ${rollout.fromRevision} are kept for ${warm} s more`] : []),
  ];
  return parts.join("; ");
}
