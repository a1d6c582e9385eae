import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type ArmCounts,
  ArmCountsSchema,
  ComparisonCountsSchema,
  type Rollout,
  RolloutState,
  type Verdict,
  VerdictKind,
} from "@kedge/proto";
import { isJudged } from "./desired-route.ts";
import { mergeLocalDecisions } from "./local-decisions.ts";
import type { ArmTotals, RolloutObservation } from "./observation.ts";
import { currentStep } from "./strategy-steps.ts";

/** Takes counts, judge state and local decisions of an observation into a rollout, in place. Stale ones leave no trace. */
export function absorb(draft: Rollout, observation: RolloutObservation, now: number): void {
  mergeLocalDecisions(draft, observation);
  absorbTotals(draft, observation, now);
  absorbComparisons(draft, observation, now);
}

/** Takes the judge's newest verdict into a rollout, in place, unless it is not to be judged just now. */
export function absorbVerdict(draft: Rollout, { verdict }: RolloutObservation): void {
  if (verdict !== undefined && isJudged(draft) && isNewer(verdict, draft.verdict)) draft.verdict = verdict;
}

function absorbTotals(draft: Rollout, observation: RolloutObservation, now: number): void {
  const { totals, judgeState } = observation;
  if (totals === undefined || isStale(totals.canary, draft.totalCanary)) return;
  if (isStale(totals.baseline, draft.totalBaseline)) return;
  const requests = totals.canary.requests - (draft.totalCanary?.requests ?? 0n);
  const errors = totals.canary.errors - (draft.totalCanary?.errors ?? 0n);
  const isMirror = currentStep(draft).traffic === "mirror";
  if (requests > 0n && !isMirror && isShortOf(draft, draft.stepCanary?.requests))
    draft.progressAt = timestampFromMs(now);
  draft.stepCanary = create(ArmCountsSchema, {
    requests: (draft.stepCanary?.requests ?? 0n) + requests,
    errors: (draft.stepCanary?.errors ?? 0n) + errors,
  });
  draft.totalCanary = create(ArmCountsSchema, totals.canary);
  draft.totalBaseline = create(ArmCountsSchema, totals.baseline);
  if (judgeState !== undefined) draft.judgeState = judgeState;
}

function absorbComparisons(draft: Rollout, { comparisons }: RolloutObservation, now: number): void {
  const known = draft.comparisons ?? create(ComparisonCountsSchema);
  if (comparisons === undefined || comparisons.differing < known.differing) return;
  if (comparisons.compared <= known.compared) return;
  if (currentStep(draft).traffic === "mirror" && isShortOf(draft, known.compared))
    draft.progressAt = timestampFromMs(now);
  draft.comparisons = create(ComparisonCountsSchema, comparisons);
}

/** Traffic is progress only where requests are what a step waits for; else a stuck rollout with traffic would never end. */
function isShortOf(draft: Rollout, seen = 0n): boolean {
  if (draft.state !== RolloutState.PROGRESSING || draft.stepStartedAt === undefined) return false;
  return seen < BigInt(currentStep(draft).minRequests);
}

function isStale(seen: ArmTotals, known: ArmCounts | undefined): boolean {
  return seen.requests < (known?.requests ?? 0n) || seen.errors < (known?.errors ?? 0n);
}

/** A rollback verdict is never replaced. */
function isNewer(verdict: Verdict, known: Verdict | undefined): boolean {
  if (known === undefined) return true;
  if (known.kind === VerdictKind.ROLLBACK) return false;
  if (verdict.kind === VerdictKind.ROLLBACK) return true;
  return verdict.at === undefined || known.at === undefined || timestampMs(verdict.at) >= timestampMs(known.at);
}
