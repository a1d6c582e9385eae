import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  MetricKind,
  MetricSpecSchema,
  type ReplicaExposureSchema,
  ThresholdSchema,
  type UserMetricSchema,
  type Verdict,
  VerdictKind,
  WindowSchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { Thresholds } from "./thresholds.ts";

const BOUNDS = [10, 20, 50, 100];

const METRICS = [
  create(MetricSpecSchema, { name: "score", kind: MetricKind.MEAN, lower: 0, upper: 1 }),
  create(MetricSpecSchema, { name: "size", kind: MetricKind.SAMPLES }),
  create(MetricSpecSchema, { name: "fallbacks", kind: MetricKind.COUNT }),
];

interface Minute {
  readonly metrics?: MessageInitShape<typeof UserMetricSchema>[];
  readonly exposure?: MessageInitShape<typeof ReplicaExposureSchema>;
  readonly requests?: number;
  readonly errors?: number;
  /** How many answers took at most each of the bounds, and longer. */
  readonly counts?: readonly number[];
}

/** The verdict after so many minutes, of which the window in each tells this; a last, empty one ends them. */
function after(minutes: readonly Minute[], threshold: MessageInitShape<typeof ThresholdSchema>): Verdict | undefined {
  const analysis = { thresholds: [create(ThresholdSchema, threshold)], metrics: METRICS };
  const thresholds = new Thresholds(analysis, 0);
  for (const [i, { requests = 100, errors = 0, counts, ...own }] of [...minutes, { requests: 0 }].entries()) {
    const latencyMs = counts && { bounds: BOUNDS, counts: [...counts] };
    const part = { revision: 2, requests, errors, ...own, ...(latencyMs && { latencyMs }) };
    const old = { revision: 1, requests: 1_000, errors: 1_000 };
    const verdict = thresholds.observe(create(WindowSchema, { revisions: [old, part] }), 2, i * 60_000);
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

test("a rate of errors above its limit is a verdict, at it is not, and the old revision's do not count", () => {
  const threshold = { metric: "errors", atMost: 0.05 };
  expect(after([{ errors: 5 }], threshold)).toBeUndefined();
  expect(after([{ errors: 6 }], threshold)).toMatchObject({
    ...{ kind: VerdictKind.ROLLBACK, metric: "errors" },
    reason: "errors is 6.00 % over 100 requests, at most 5.00 % wanted",
  });
});

test("a quantile of the response times is that of all the windows in its time", () => {
  const threshold = { metric: "latency", quantile: 0.99, atMost: 50 };
  expect(after([{ counts: [50, 30, 19, 1, 0] }], threshold)).toBeUndefined();
  expect(after([{ counts: [50, 30, 18, 2, 0] }], threshold)?.reason).toBe(
    "latency at quantile 0.99 is 100.0 ms over 100 requests, at most 50.0 ms wanted",
  );
  // Beyond the last bound is at least that.
  expect(after([{ counts: [50, 0, 0, 0, 50] }], { ...threshold, atMost: 99 })?.kind).toBe(VerdictKind.ROLLBACK);
});

test("only so many in a row count, and time with too few requests is neither good nor bad", () => {
  const threshold = { metric: "errors", atMost: 0.05, consecutive: 2 };
  const bad = { errors: 50 };
  expect(after([bad, {}, bad, {}], threshold)).toBeUndefined();
  expect(after([bad, { requests: 19, errors: 19 }, bad], threshold)?.reason).toContain("2 times in a row");
  expect(after([{ requests: 19, errors: 19 }], { metric: "errors", atMost: 0.05 })).toBeUndefined();
});

test("a figure may be too small", () => {
  expect(after([{ counts: [100, 0, 0, 0, 0] }], { metric: "latency", quantile: 0.5, atLeast: 15 })?.effect).toBeCloseTo(
    10 / 15,
  );
});

test("limits may be on users' metrics, by their kind, and on restarts by the hour", () => {
  const score = (sum: number) => ({
    name: "score",
    value: { case: "moments" as const, value: { count: 10, sum, sumSquares: 5 } },
  });
  const low = after([{ metrics: [score(7)] }], { metric: "score", atLeast: 0.8 });
  expect(low?.reason).toBe("score is 0.7 over 100 requests, at least 0.8 wanted");
  expect(after([{ metrics: [score(9)] }], { metric: "score", atLeast: 0.8 })).toBeUndefined();
  expect(after([{}], { metric: "score", atLeast: 0.8 })).toBeUndefined();
  const size = { name: "size", value: { case: "samples" as const, value: { bounds: [1, 2], counts: [50, 49, 1] } } };
  expect(after([{ metrics: [size] }], { metric: "size", quantile: 0.9, atMost: 1 })?.effect).toBe(2);
  const fallbacks = { name: "fallbacks", value: { case: "count" as const, value: { events: 30, requests: 100 } } };
  expect(after([{ metrics: [fallbacks] }], { metric: "fallbacks", atMost: 0.2 })?.effect).toBeCloseTo(1.5);
  const exposure = { readyMs: 60_000n, replicas: 1, restarts: 1 };
  expect(after([{ exposure }], { metric: "restarts", atMost: 10 })?.reason).toBe(
    "restarts is 60 an hour and replica over 100 requests, at most 10 an hour and replica wanted",
  );
  expect(after([{ exposure: { ...exposure, restarts: 0 } }], { metric: "restarts", atMost: 10 })).toBeUndefined();
});
