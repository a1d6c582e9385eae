import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AnalysisSpecSchema,
  MetricKind,
  MetricProblem,
  type RevisionWindowSchema,
  RouteJudgementSchema,
  type UserMetricSchema,
  VerdictKind,
  type Window,
  WindowSchema,
  WorseWhen,
} from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { RolloutTrial } from "./rollout-trial.ts";

type Part = MessageInitShape<typeof RevisionWindowSchema>;
type Told = MessageInitShape<typeof UserMetricSchema>;

const WINDOW_MS = 250;
const SCORE = { name: "score", kind: MetricKind.MEAN, upper: 1, worseWhen: WorseWhen.LOWER };
const ERRORS = { name: "errors", kind: MetricKind.ERRORS };
const RESTARTS = { name: "restarts", kind: MetricKind.RESTARTS };

function trialOf(
  metrics: MessageInitShape<typeof AnalysisSpecSchema>["metrics"],
  byUser = false,
  state?: Uint8Array,
): RolloutTrial {
  const analysis = { ...(metrics && { metrics }) };
  const judgement = create(RouteJudgementSchema, {
    rolloutId: "d-2-1",
    fromRevision: 1,
    toRevision: 2,
    alpha: 0.01,
    analysis,
    byUser,
  });
  return new RolloutTrial(judgement, { nowMs: 0, ...(state && { state }) });
}

function windowAt(at: number, [old, fresh]: readonly [Part, Part], nodeId = "n1"): Window {
  const times = { from: timestampFromMs((at - 1) * WINDOW_MS), to: timestampFromMs(at * WINDOW_MS) };
  const common = { basisPoints: 5_000, requests: 50 };
  return create(WindowSchema, {
    ...times,
    nodeId,
    revisions: [
      { ...common, ...old, revision: 1 },
      { ...common, ...fresh, revision: 2 },
    ],
  });
}

/** Shows so many windows, each made from its number; the last verdict. */
function watch(trial: RolloutTrial, windows: number, arms: (at: number) => readonly [Part, Part], from = 0) {
  let verdict = trial.verdict(from * WINDOW_MS);
  for (let at = from + 1; at <= from + windows && verdict?.kind !== VerdictKind.ROLLBACK; at++) {
    trial.observe(windowAt(at, arms(at)), at * WINDOW_MS);
    verdict = trial.verdict(at * WINDOW_MS);
  }
  return verdict;
}

const score = (mean: number): Told => ({
  name: "score",
  value: { case: "moments", value: { count: 50, sum: 50 * mean, sumSquares: 50 * mean } },
});

/** As agents tell: once in four windows, as they ask once a second. */
const tells = (at: number, told: Told): Part => ({ metrics: [at % 4 === 0 ? told : { name: "score" }] });

test("a score that comes once a second is enough, and is judged one way round", () => {
  const worse = watch(trialOf([ERRORS, SCORE]), 400, (at) => [tells(at, score(0.8)), tells(at, score(0.6))]);
  expect(worse).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "score" });
  const trial = trialOf([ERRORS, SCORE]);
  const better = watch(trial, 400, (at) => [tells(at, score(0.6)), tells(at, score(0.8))]);
  expect(better?.kind).toBe(VerdictKind.PASS);
  expect(trial.missing).toEqual([]);
});

test("a metric is missing after 5 s of traffic without it, with the reason, and not any more when it comes", () => {
  const trial = trialOf([ERRORS, SCORE]);
  const absent = { name: "score", problem: MetricProblem.ABSENT };
  watch(trial, 19, (at) => [tells(at, score(0.8)), { metrics: [absent] }]);
  expect(trial.missing).toEqual([]);
  watch(trial, 1, () => [{}, { metrics: [absent] }], 19);
  expect(trial.missing).toEqual(["score (no replica of revision 2 tells it)"]);
  watch(trial, 1, () => [{ metrics: [score(0.8)] }, { metrics: [score(0.8)] }], 20);
  expect(trial.missing).toEqual([]);
});

test("without traffic nothing is missing, and nothing is held against a revision", () => {
  const trial = trialOf([ERRORS, SCORE, RESTARTS]);
  const idle = { requests: 0 };
  expect(watch(trial, 400, () => [idle, idle])?.kind).not.toBe(VerdictKind.ROLLBACK);
  watch(trial, 400, () => [{}, idle], 400);
  expect(trial.missing).toEqual([]);
});

test("restarts of old and new replicas on different nodes are compared", () => {
  const trial = trialOf([RESTARTS]);
  let verdict = trial.verdict(0);
  for (let at = 1; at <= 40 && verdict?.kind !== VerdictKind.ROLLBACK; at++) {
    const old = { basisPoints: 10_000, exposure: { replicas: 4, readyMs: 1000n } };
    const fresh = { basisPoints: 10_000, exposure: { replicas: 1, restarts: at % 2, readyMs: 100n } };
    trial.observe(create(WindowSchema, { nodeId: "a", revisions: [{ revision: 1, ...old }] }), at * WINDOW_MS);
    trial.observe(create(WindowSchema, { nodeId: "b", revisions: [{ revision: 2, ...fresh }] }), at * WINDOW_MS);
    verdict = trial.verdict(at * WINDOW_MS);
  }
  expect(verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "restarts" });
});

test("where users are judged restarts are there, too", () => {
  const users = (base: number, at: number) => Uint8Array.of(1, 0, base, at >> 8, at & 255);
  const trial = trialOf([ERRORS, RESTARTS], true);
  const part = (base: number, at: number): Part => ({
    users: users(base, at),
    exposure: { replicas: 2, readyMs: 500n },
  });
  watch(trial, 60, (at) => [part(1, at), part(2, at)]);
  expect(trial.missing).toEqual([]);
  watch(trial, 60, (at) => [part(1, at), { users: users(2, at) }], 60);
  expect(trial.missing).toEqual(["restarts"]);
});

const anyNumber = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, 1e300, -1e300, Infinity, 0, 1));
const count = fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 2 ** 32 - 1 }));
const name = fc.constantFrom("score", "size", "calls", "other", "__proto__", "constructor");
const value = fc.oneof(
  fc
    .record({ count, sum: anyNumber, sumSquares: anyNumber })
    .map((moments) => ({ case: "moments" as const, value: moments })),
  fc.record({ events: count, requests: count }).map((counted) => ({ case: "count" as const, value: counted })),
  fc
    .record({ bounds: fc.array(anyNumber), counts: fc.array(count), values: fc.array(anyNumber) })
    .map((samples) => ({ case: "samples" as const, value: samples })),
);
const anyPart = fc.record({
  metrics: fc.array(fc.record({ name, value, problem: fc.nat({ max: 9 }) }), { maxLength: 8 }),
  exposure: fc.record({
    replicas: count,
    restarts: count,
    oomKills: count,
    readyMs: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  requests: count,
});

test("whatever nodes tell, a trial goes on, with evidence that is a number, and from its state as from itself", () => {
  const metrics = [
    ...[ERRORS, SCORE, RESTARTS, { name: "size", kind: MetricKind.SAMPLES }, { name: "calls", kind: MetricKind.COUNT }],
    ...[
      { name: "__proto__", kind: MetricKind.SAMPLES },
      { name: "constructor", kind: MetricKind.COUNT },
    ],
  ];
  fc.assert(
    fc.property(fc.array(fc.tuple(anyPart, anyPart), { maxLength: 12 }), (parts) => {
      const trial = trialOf(metrics);
      for (const [i, arms] of parts.entries()) trial.observe(windowAt(i + 1, arms), (i + 1) * WINDOW_MS);
      const verdict = trial.verdict(parts.length * WINDOW_MS);
      expect(Number.isNaN(verdict?.evidence ?? 1)).toBe(false);
      const resumed = trialOf(metrics, false, trial.state());
      expect(resumed.state()).toEqual(trial.state());
    }),
    { numRuns: 300 },
  );
});
