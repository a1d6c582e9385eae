import fc from "fast-check";
import { expect, test } from "vitest";
import type { SampleHistogram, Samples } from "../evidence/sample-table.ts";
import { createJudge } from "./judge.ts";
import type { ArmWindow, Judge, JudgeVerdict, JudgeWindow, MetricValue } from "./judge-types.ts";
import { mergeWindows } from "./merge-windows.ts";

type Arms = readonly [baseline: Partial<ArmWindow>, canary: Partial<ArmWindow>];

function windowOf(weight: number, [baseline, canary]: Arms, extra: Partial<JudgeWindow> = {}): JudgeWindow {
  const arm = (part: Partial<ArmWindow>): ArmWindow => ({ requests: 50, errors: 0, ...part });
  return { seconds: 0.25, weight, baseline: arm(baseline), canary: arm(canary), ...extra };
}

/** The last verdict on the same arms seen `times`. */
function watch(judge: Judge, arms: Arms, times: number): JudgeVerdict {
  let verdict = judge.verdict();
  for (let i = 0; i < times; i++) verdict = judge.observe(windowOf(0.5, arms));
  return verdict;
}

/** 50 latencies spread over a factor of four around a middle. */
const latencies = (middle: number): number[] => Array.from({ length: 50 }, (_, i) => middle * 4 ** (i / 49 - 0.5));
const BOUNDS = Array.from({ length: 47 }, (_, i) => 0.1 * 10 ** (i / 8));
const histogram = (values: readonly number[]): SampleHistogram => {
  const counts = [...BOUNDS, Infinity].map(() => 0);
  for (const value of values) {
    const i = BOUNDS.findIndex((bound) => value <= bound);
    counts[i < 0 ? BOUNDS.length : i] = (counts[i < 0 ? BOUNDS.length : i] ?? 0) + 1;
  }
  return { bounds: BOUNDS, counts };
};

test.each<[string, (values: number[]) => Samples]>([
  ["raw", (values) => values],
  ["histogram", histogram],
])("slower answers are rolled back, as slow ones pass: %s", (_name, samples) => {
  const arms = (factor: number): Arms => [
    { latencyMs: samples(latencies(20)) },
    { latencyMs: samples(latencies(20 * factor)) },
  ];
  expect(watch(createJudge(), arms(1.5), 10)).toMatchObject({ verdict: "rollback", metric: "latency" });
  expect(watch(createJudge(), arms(0.5), 100).verdict).not.toBe("rollback");
  const equal = watch(createJudge(), arms(1), 100);
  expect(equal.verdict).toBe("pass");
  expect(equal.interval.low).toBeLessThanOrEqual(1);
  expect(equal.interval.high).toBeGreaterThanOrEqual(1);
});

test("a slow tail alone is found", () => {
  const tail = latencies(20).map((value, i) => (i % 10 === 9 ? value * 20 : value));
  const verdict = watch(createJudge(), [{ latencyMs: latencies(20) }, { latencyMs: tail }], 15);
  expect(verdict).toMatchObject({ verdict: "rollback", metric: "latency" });
});

test("a raw and a histogram arm meet in the histogram's bounds; histograms without a common bound are left out", () => {
  const judge = createJudge();
  const mixed: Arms = [{ latencyMs: histogram(latencies(20)) }, { latencyMs: latencies(40) }];
  expect(watch(judge, mixed, 10).verdict).toBe("rollback");
  const apart: Arms = [{ latencyMs: histogram(latencies(20)) }, { latencyMs: { bounds: [7], counts: [50, 0] } }];
  expect(watch(createJudge(), apart, 10)).toMatchObject({ verdict: "continue", evidence: 1 });
});

test("a silent shift of predictions is rolled back and says of which label", () => {
  const arms: Arms = [{ predictions: { cat: 25, dog: 25 } }, { predictions: { cat: 40, dog: 10 } }];
  const verdict = watch(createJudge(), arms, 10);
  expect(verdict).toMatchObject({ verdict: "rollback", metric: "predictions" });
  expect(verdict.effect).toBeCloseTo(0.3, 9);
  expect(verdict.reason).toContain('"cat" in 80 % of answers against 50 %');
});

test("a label that only the canary gives is rolled back", () => {
  const arms: Arms = [{ predictions: { cat: 25, dog: 25 } }, { predictions: { cat: 23, dog: 23, constructor: 4 } }];
  expect(watch(createJudge(), arms, 10)).toMatchObject({ verdict: "rollback", metric: "predictions" });
});

test("predictions that stay the same pass, with any number of labels", () => {
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`label ${i}`, 1 + (i % 3)]));
  const arms: Arms = [{ predictions: many }, { predictions: many }];
  const judge = createJudge();
  expect(watch(judge, arms, 100)).toMatchObject({ verdict: "pass" });
  expect(createJudge({ state: judge.state() }).verdict()).toEqual(judge.verdict());
});

test("metrics of the user's: events, bounded values and distributions, each in its direction", () => {
  const metrics = [
    { kind: "events", name: "restarts" },
    { kind: "bounded", name: "score", low: 0, high: 10, worse: "lower" },
    { kind: "distribution", name: "tokens per second", worse: "lower" },
    { kind: "distribution", name: "answer length", worse: "different" },
  ] as const;
  const scores = (mean: number): number[] => Array.from({ length: 50 }, (_, i) => mean + (i % 2 === 0 ? 1 : -1));
  const good = {
    restarts: { events: 1, exposure: 100 },
    score: scores(8),
    "tokens per second": latencies(50),
    "answer length": latencies(200),
  };
  const worse: Record<string, MetricValue> = {
    restarts: { events: 6, exposure: 100 },
    score: scores(7),
    "tokens per second": latencies(30),
    "answer length": latencies(200).map((value) => 200 + (value - 200) / 4),
  };
  expect(watch(createJudge({ metrics }), [{ metrics: good }, { metrics: good }], 300).verdict).not.toBe("rollback");
  for (const [name, value] of Object.entries(worse)) {
    const verdict = watch(createJudge({ metrics }), [{ metrics: good }, { metrics: { ...good, [name]: value } }], 100);
    expect(verdict).toMatchObject({ verdict: "rollback", metric: name });
    const better = watch(createJudge({ metrics }), [{ metrics: { ...good, [name]: value } }, { metrics: good }], 100);
    if (name !== "answer length") expect(better.verdict).not.toBe("rollback");
  }
});

test("a difference of bounded means is told with its interval", () => {
  const metrics = [{ kind: "bounded", name: "score", low: 0, high: 10, worse: "lower" }] as const;
  const arms: Arms = [{ metrics: { score: Array(50).fill(8) } }, { metrics: { score: Array(50).fill(6) } }];
  const verdict = watch(createJudge({ metrics }), arms, 40);
  expect(verdict).toMatchObject({ verdict: "rollback", metric: "score", effect: -2 });
  expect(verdict.interval.low).toBeLessThan(-2);
  expect(verdict.interval.high).toBeGreaterThan(-2);
});

test("a metric that stops coming pauses and is named; it goes on when the metric is back", () => {
  const judge = createJudge();
  const arms: Arms = [{ latencyMs: latencies(20) }, { latencyMs: latencies(20) }];
  expect(watch(judge, arms, 100).verdict).toBe("pass");
  const paused = watch(judge, [{}, {}], 8);
  expect(paused).toMatchObject({ verdict: "continue", missing: ["latency"] });
  expect(paused.reason).toContain("paused: no latency");
  expect(watch(judge, arms, 1)).toMatchObject({ verdict: "pass", missing: [] });
});

test("a declared metric that never comes pauses; without traffic nothing is missing", () => {
  const metrics = [{ kind: "events", name: "restarts" }] as const;
  const judge = createJudge({ metrics });
  expect(watch(judge, [{ requests: 0 }, {}], 20).missing).toEqual([]);
  expect(watch(judge, [{}, {}], 20).missing).toEqual(["restarts"]);
});

test.each<[string, Partial<ArmWindow>]>([
  ["latency is not a sample", { latencyMs: [1, Number.NaN] }],
  ["latency is not a sample", { latencyMs: { bounds: [2, 1], counts: [1, 1] } }],
  ["predictions are not counts", { predictions: { cat: -1 } }],
  ["score is not of values between 0 and 1", { metrics: { score: [2] } }],
])("what cannot be is left out and said so: %s", (problem, part) => {
  const judge = createJudge({ metrics: [{ kind: "bounded", name: "score", low: 0, high: 1, worse: "lower" }] });
  const verdict = judge.observe(windowOf(0.5, [{}, part]));
  expect(verdict.reason).toContain(problem);
  expect(verdict.evidence).toBe(1);
});

test("windows in which a replica was starting are left out", () => {
  const judge = createJudge();
  const arms: Arms = [{}, { errors: 50 }];
  for (let i = 0; i < 10; i++) judge.observe(windowOf(0.5, arms, { warming: true }));
  expect(judge.verdict()).toMatchObject({ verdict: "continue", evidence: 1 });
});

test("a service without errors passes once the canary's rate is shown negligible", () => {
  const verdict = watch(createJudge(), [{}, {}], 100);
  expect(verdict).toMatchObject({ verdict: "pass", metric: "errors", effect: 1 });
  expect(watch(createJudge(), [{}, {}], 20).verdict).toBe("continue");
});

const part = fc.double({ min: 0, max: 1, noNaN: true });
const anyArm: fc.Arbitrary<ArmWindow> = fc
  .record({
    requests: fc.nat(60),
    failing: part,
    values: fc.array(fc.double({ min: -5, max: 5000, noNaN: true }), { maxLength: 30 }),
    isHistogram: fc.boolean(),
    predictions: fc.dictionary(fc.constantFrom("a", "b", "c", "constructor"), fc.nat(20)),
    restarts: fc.nat(3),
  })
  .map(({ requests, failing, values, isHistogram, predictions, restarts }) => ({
    requests,
    errors: Math.floor(requests * failing),
    latencyMs: isHistogram ? histogram(values) : values,
    predictions,
    metrics: {
      restarts: { events: restarts, exposure: requests },
      score: values.map((value) => Math.min(1, Math.abs(value))),
    },
  }));
const anyWindow: fc.Arbitrary<JudgeWindow> = fc.record({
  seconds: fc.constant(1),
  weight: fc.oneof(fc.constantFrom(0.1, 0.25), part),
  baseline: anyArm,
  canary: anyArm,
});
const METRICS = [
  { kind: "events", name: "restarts", margin: 1 },
  { kind: "bounded", name: "score", low: 0, high: 1, worse: "higher" },
] as const;

test("with every metric: evidence is never NaN, rollback is final, and a restored judge goes on exactly alike", () => {
  fc.assert(
    fc.property(fc.array(anyWindow, { maxLength: 12 }), fc.nat(12), (windows, cut) => {
      let judge = createJudge({ metrics: METRICS });
      const unbroken = createJudge({ metrics: METRICS });
      let isRolledBack = false;
      for (const [i, window] of windows.entries()) {
        if (i === cut) judge = createJudge({ metrics: METRICS, state: judge.state() });
        const verdict = judge.observe(window);
        expect(verdict).toEqual(unbroken.observe(window));
        expect(verdict.evidence).toBeGreaterThanOrEqual(0);
        expect(Number.isNaN(verdict.effect) || Number.isNaN(verdict.interval.low)).toBe(false);
        expect(verdict.interval.low).toBeLessThanOrEqual(verdict.interval.high);
        if (isRolledBack) expect(verdict.verdict).toBe("rollback");
        isRolledBack ||= verdict.verdict === "rollback";
      }
      expect(judge.state()).toEqual(unbroken.state());
    }),
    { numRuns: 60 },
  );
});

test("windows without traffic change nothing", () => {
  fc.assert(
    fc.property(fc.array(anyWindow, { maxLength: 6 }), part, (windows, weight) => {
      const judge = createJudge({ metrics: METRICS });
      for (const window of windows) judge.observe(window);
      const before = judge.verdict();
      const empty = { requests: 0, errors: 0, latencyMs: [], predictions: {} };
      for (let i = 0; i < 20; i++) judge.observe({ seconds: 1, weight, baseline: empty, canary: empty });
      expect(judge.verdict()).toEqual(before);
    }),
    { numRuns: 30 },
  );
});

test("the effect and its interval are the same in any order of windows of twenty requests or more", () => {
  const arm = fc
    .integer({ min: 10, max: 200 })
    .chain((requests) => fc.record({ requests: fc.constant(requests), errors: fc.nat(requests) }));
  const windows = fc.array(fc.record({ seconds: fc.constant(1), weight: part, baseline: arm, canary: arm }), {
    maxLength: 10,
  });
  fc.assert(
    fc.property(windows, (list) => {
      const inOrder = createJudge();
      const reversed = createJudge();
      for (const window of list) inOrder.observe(window);
      for (const window of list.toReversed()) reversed.observe(window);
      const [a, b] = [inOrder.verdict(), reversed.verdict()];
      expect(a.effect).toBeCloseTo(b.effect, 9);
      expect(a.interval.low).toBeCloseTo(b.interval.low, 9);
    }),
  );
});

test("small windows of one weight are judged as one", () => {
  fc.assert(
    fc.property(fc.array(anyWindow, { minLength: 2, maxLength: 6 }), (windows) => {
      const small = windows.map((window) => ({ ...window, weight: 0.1 }));
      const merged = small.reduce(mergeWindows);
      const total = merged.baseline.requests + merged.canary.requests;
      expect(total).toBe(small.reduce((sum, { baseline, canary }) => sum + baseline.requests + canary.requests, 0));
    }),
  );
  const singles = createJudge();
  const whole = createJudge();
  const one = (isCanary: boolean, isFailed: boolean): JudgeWindow => {
    const hit = { requests: 1, errors: isFailed ? 1 : 0 };
    return windowOf(0.5, isCanary ? [{ requests: 0 }, hit] : [hit, { requests: 0 }]);
  };
  for (let i = 0; i < 20; i++) singles.observe(one(i % 2 === 0, i % 4 === 0));
  whole.observe(
    windowOf(0.5, [
      { requests: 10, errors: 0 },
      { requests: 10, errors: 5 },
    ]),
  );
  expect(singles.verdict()).toEqual(whole.verdict());
  expect(singles.verdict().evidence).toBeGreaterThan(1);
});
