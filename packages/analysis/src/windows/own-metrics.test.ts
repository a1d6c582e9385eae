import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AnalysisSpecSchema as Analysis,
  type AnalysisSpecSchema,
  MetricKind,
  MetricSpecSchema,
  UserMetricSchema,
  WorseWhen,
} from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { valueProblem } from "../judge/metric-value.ts";
import { assertJudgeable } from "./judge-setup.ts";
import { metricOptions, toldValue } from "./own-metrics.ts";

const MEAN = { name: "score", kind: MetricKind.MEAN, lower: 0, upper: 1 };

function refusal(analysis: MessageInitShape<typeof AnalysisSpecSchema>): string {
  try {
    assertJudgeable(create(Analysis, analysis));
    return "";
  } catch (error) {
    return String(error);
  }
}

test.each<[string, MessageInitShape<typeof AnalysisSpecSchema>]>([
  ["no metric name", { metrics: [{ ...MEAN, name: "my score" }] }],
  ["measured by Kedge itself", { metrics: [{ ...MEAN, name: "errors" }] }],
  ["there twice", { metrics: [MEAN, { ...MEAN, kind: MetricKind.SAMPLES, lower: 0, upper: 0 }] }],
  ["needs bounds", { metrics: [{ ...MEAN, upper: 0 }] }],
  ["needs bounds", { metrics: [{ ...MEAN, upper: Infinity }] }],
  ["bounds are for kind mean", { metrics: [{ ...MEAN, kind: MetricKind.COUNT }] }],
  [
    "only be worse when higher; count what is bad",
    { metrics: [{ name: "calls", kind: MetricKind.COUNT, worseWhen: WorseWhen.LOWER }] },
  ],
  ["only be worse when higher or lower", { metrics: [{ ...MEAN, worseWhen: WorseWhen.DIFFERENT }] }],
  ["a budget of 0 or more", { metrics: [{ ...MEAN, budget: Number.NaN }] }],
  ["restarts have no other name", { metrics: [{ name: "crashes", kind: MetricKind.RESTARTS }] }],
  ["has no kind", { metrics: [{ name: "score" }] }],
  ["at most 16", { metrics: Array.from({ length: 17 }, (_, i) => ({ name: `m${i}`, kind: MetricKind.SAMPLES })) }],
  ["not one of the analysis's metrics", { thresholds: [{ metric: "score", atMost: 1 }] }],
  [
    "needs a quantile",
    { metrics: [{ name: "size", kind: MetricKind.SAMPLES }], thresholds: [{ metric: "size", atMost: 1 }] },
  ],
  ["has no quantiles", { metrics: [MEAN], thresholds: [{ metric: "score", quantile: 0.5, atMost: 1 }] }],
  ["has no limit", { metrics: [MEAN], thresholds: [{ metric: "score" }] }],
])("an analysis is refused: %s", (problem, analysis) => {
  expect(refusal(analysis)).toContain(problem);
});

test("metrics of all kinds are judged", () => {
  const metrics = [
    { name: "errors", kind: MetricKind.ERRORS },
    { name: "restarts", kind: MetricKind.RESTARTS },
    { ...MEAN, worseWhen: WorseWhen.LOWER },
    { name: "size", kind: MetricKind.SAMPLES, worseWhen: WorseWhen.DIFFERENT },
    { name: "fallbacks", kind: MetricKind.COUNT },
  ];
  const thresholds = [
    { metric: "score", atLeast: 0.5 },
    { metric: "restarts", atMost: 3 },
  ];
  expect(refusal({ metrics, thresholds })).toBe("");
});

const anyNumber = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, 1e300, -1e300, Infinity, -1, 0, 1));
const count = fc.nat({ max: 2 ** 32 - 1 });

test("only values that the judge can take come of what a node tells", () => {
  const value = fc.oneof(
    fc
      .record({ bounds: fc.array(anyNumber), counts: fc.array(count), values: fc.array(anyNumber) })
      .map((samples) => ({ case: "samples" as const, value: samples })),
    fc
      .record({ count, sum: anyNumber, sumSquares: anyNumber })
      .map((moments) => ({ case: "moments" as const, value: moments })),
    fc.record({ events: count, requests: count }).map((counted) => ({ case: "count" as const, value: counted })),
  );
  const kinds = fc.constantFrom(MetricKind.SAMPLES, MetricKind.MEAN, MetricKind.COUNT);
  fc.assert(
    fc.property(kinds, value, (kind, told) => {
      const spec = create(MetricSpecSchema, { ...MEAN, kind });
      const taken = toldValue(spec, create(UserMetricSchema, { name: "score", value: told }));
      const options = metricOptions(spec, 0.1);
      if (taken !== undefined && options !== undefined) expect(valueProblem(options, taken)).toBeUndefined();
    }),
    { numRuns: 2_000 },
  );
});

test("an amount is no count of events", () => {
  const spec = create(MetricSpecSchema, { name: "tokens", kind: MetricKind.COUNT });
  const told = (events: number) =>
    toldValue(spec, create(UserMetricSchema, { value: { case: "count", value: { events, requests: 100 } } }));
  expect(told(30)).toEqual({ events: 30, exposure: 100 });
  expect(told(30_000)).toBeUndefined();
});
