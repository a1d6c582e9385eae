import { informationLimit } from "@kedge/analysis";
import { FailureClass, RolloutState, RunState, VerdictKind } from "@kedge/proto";
import type { Tally } from "./load.ts";
import { outcome, transitionAt } from "./release.ts";
import type { StoryResult } from "./story.ts";
import type { Timeline } from "./timeline.ts";

const ALPHA = 0.01;
const FIRST_STEP_WEIGHT = 0.1;

/** What differed from the story as it should go; empty when nothing did. */
export function differences({ first, good, bad, after, finalSplits }: StoryResult): string[] {
  const found: string[] = [];
  const expect = (holds: boolean, otherwise: string): void => {
    if (!holds) found.push(otherwise);
  };
  expect(good.run.state === RunState.SUCCEEDED, `the good release ${outcome(good)}`);
  expect(good.rollout.state === RolloutState.SUCCEEDED, `the good rollout ended ${RolloutState[good.rollout.state]}`);
  for (const tally of [first, good.tally, after]) {
    expect(tally.requests > 0, `no request was answered in phase "${tally.name}"`);
    expect(tally.failed === 0, `${tally.failed} requests failed in phase "${tally.name}": ${tally.sampleFailure}`);
  }
  expect(bad.rollout.state === RolloutState.ROLLED_BACK, `the bad rollout ended ${RolloutState[bad.rollout.state]}`);
  expect(bad.rollout.verdict?.kind === VerdictKind.ROLLBACK, "it was not the judge that stopped the bad release");
  expect(bad.rollout.step === 0, `the bad release came to step ${bad.rollout.step + 1}`);
  const isRolledBack = bad.run.jobs.some(({ failure }) => failure?.class === FailureClass.ROLLED_BACK);
  expect(isRolledBack, `the bad run did not end with ROLLED_BACK: it ${outcome(bad)}`);
  const stable = good.rollout.toRevision;
  expect(
    bad.deployment.stableRevision === stable,
    `revision ${bad.deployment.stableRevision} is stable, not ${stable}`,
  );
  expect(finalSplits.get(stable) === 10_000, `the route at the end is ${JSON.stringify([...finalSplits])}`);
  const others = [...after.byVersion.keys()].filter((version) => version !== "2");
  expect(others.length === 0, `versions ${others.join(", ")} answered at the end`);
  return found;
}

/** Tells how the story went, in figures. */
export function tellSummary(result: StoryResult, timeline: Timeline): void {
  const figures = measure(result);
  timeline.record({ type: "summary", ...figures, differences: differences(result) });
  timeline.title("What happened");
  const row = (name: string, value: string): void => timeline.print(`  ${name.padEnd(50)}${value}`);
  row("good commit to all traffic on v6", seconds(figures.commitToAllTrafficMs));
  row("good commit to promoted, v5 ended", seconds(figures.commitToPromotedMs));
  row("bad commit to first bad answer", seconds(figures.commitToFirstBadMs));
  row("first bad answer to rollback decision", seconds(figures.firstBadToDecisionMs));
  row("rollback decision to last bad answer", afterDecision(figures.decisionToLastBadMs));
  row("bad answers users saw", `${figures.badAnswers} of ${figures.badReleaseRequests} during the bad release`);
  row("what the judge said", figures.reason);
  row(
    "evidence at that moment (e-value)",
    `${figures.evidence.toPrecision(3)}; ${1 / ALPHA} is enough, for 1 % false alarms`,
  );
  row("requests from the canary's start to the decision", `${figures.requestsToDecision}`);
  row(
    "the least any test needs on average",
    `${Math.ceil(figures.informationLimit)} (information limit at the error rates seen)`,
  );
  timeline.print(
    `\n  ${"phase".padEnd(16)}${"requests".padStart(9)}${"failed".padStart(8)}   answers by model version, by label`,
  );
  for (const { name, requests, failed, byVersion, byLabel } of figures.phases) {
    const counts = `${String(requests).padStart(9)}${String(failed).padStart(8)}`;
    timeline.print(`  ${name.padEnd(16)}${counts}   ${list(byVersion, "v")}; ${list(byLabel)}`);
  }
  timeline.print("");
}

function measure({ first, good, bad, after }: StoryResult) {
  const { rollout, tally } = bad;
  const decidedAt = transitionAt(rollout, RolloutState.ROLLING_BACK);
  const startedAt = transitionAt(rollout, RolloutState.PROGRESSING);
  const promotedAt = transitionAt(good.rollout, RolloutState.SUCCEEDED);
  const canary = counts(rollout.totalCanary);
  const baseline = counts(rollout.totalBaseline);
  return {
    commitToAllTrafficMs: difference(good.committedAt, transitionAt(good.rollout, RolloutState.PROMOTING)),
    commitToPromotedMs: difference(good.committedAt, promotedAt),
    commitToFirstBadMs: difference(bad.committedAt, tally.firstFailureAt),
    firstBadToDecisionMs: difference(tally.firstFailureAt, decidedAt),
    decisionToLastBadMs: difference(decidedAt, tally.lastFailureAt),
    badAnswers: tally.failed,
    badReleaseRequests: tally.requests,
    evidence: rollout.verdict?.evidence ?? 0,
    reason: rollout.verdict?.reason ?? "",
    requestsToDecision: tally.times.filter((at) => at >= (startedAt ?? 0) && at <= (decidedAt ?? 0)).length,
    informationLimit: informationLimit({
      baselineRate: rate(baseline),
      canaryRate: rate(canary),
      weight: FIRST_STEP_WEIGHT,
      alpha: ALPHA,
    }),
    phases: [first, good.tally, tally, after].map(plain),
  };
}

function plain({ name, requests, failed, byVersion, byLabel }: Tally) {
  return { name, requests, failed, byVersion: Object.fromEntries(byVersion), byLabel: Object.fromEntries(byLabel) };
}

interface Counts {
  readonly requests: number;
  readonly errors: number;
}

function counts(arm: { requests: bigint; errors: bigint } | undefined): Counts {
  return { requests: Number(arm?.requests ?? 0n), errors: Number(arm?.errors ?? 0n) };
}

function rate({ requests, errors }: Counts): number {
  return requests === 0 ? 0 : errors / requests;
}

function difference(from: number | undefined, to: number | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : to - from;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "-" : `${(ms / 1000).toFixed(2)} s`;
}

function afterDecision(ms: number | undefined): string {
  return ms !== undefined && ms < 0 ? "no bad answer after it" : seconds(ms);
}

function list(counts: Readonly<Record<string, number>>, prefix = ""): string {
  return Object.entries(counts)
    .map(([name, count]) => `${prefix}${name} ${count}`)
    .join(", ");
}
