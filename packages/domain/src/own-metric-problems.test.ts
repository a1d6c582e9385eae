import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AnalysisSpecSchema, MetricKind, RequestSource, StrategySchema, WorseWhen } from "@kedge/proto";
import { expect, test } from "vitest";
import { ownMetricProblems } from "./own-metric-problems.ts";
import { fieldOf } from "./spec-problem.ts";

type Analysis = MessageInitShape<typeof AnalysisSpecSchema>;

const MEAN = { name: "score", kind: MetricKind.MEAN, lower: 0, upper: 1 };
const SAMPLES = { name: "size", kind: MetricKind.SAMPLES };
const COUNT = { name: "fallbacks", kind: MetricKind.COUNT };
const RESTARTS = { name: "restarts", kind: MetricKind.RESTARTS };

const fieldsOf = (analysis: Analysis, strategy?: MessageInitShape<typeof StrategySchema>): string[] =>
  ownMetricProblems(create(AnalysisSpecSchema, analysis), strategy && create(StrategySchema, strategy)).map(
    ({ path }) => fieldOf(path),
  );

test.each<[string, Analysis]>([
  ["metrics[0].name", { metrics: [{ ...MEAN, name: "my score" }] }],
  ["metrics[0].name", { metrics: [{ ...MEAN, name: "errors" }] }],
  ["metrics[0].name", { metrics: [{ ...MEAN, name: "" }] }],
  ["metrics[0].name", { metrics: [{ ...MEAN, name: "a".repeat(129) }] }],
  ["metrics[1].name", { metrics: [MEAN, { ...SAMPLES, name: "score" }] }],
  ["metrics[1].name", { metrics: [RESTARTS, RESTARTS] }],
  ["metrics[0].name", { metrics: [{ ...RESTARTS, name: "crashes" }] }],
  ["metrics[0].upper", { metrics: [{ ...MEAN, upper: 0 }] }],
  ["metrics[0].upper", { metrics: [{ ...MEAN, upper: Infinity }] }],
  ["metrics[0].upper", { metrics: [{ ...COUNT, upper: 1 }] }],
  ["metrics[0].worse_when", { metrics: [{ ...COUNT, worseWhen: WorseWhen.LOWER }] }],
  ["metrics[0].worse_when", { metrics: [{ ...MEAN, worseWhen: WorseWhen.DIFFERENT }] }],
  ["metrics[0].worse_when", { metrics: [{ ...RESTARTS, worseWhen: WorseWhen.LOWER }] }],
  ["metrics[0].budget", { metrics: [{ ...MEAN, budget: Number.NaN }] }],
  ["metrics[0].pass_margin", { metrics: [{ ...MEAN, passMargin: 1 }] }],
  ["metrics[0].tolerance", { metrics: [{ ...MEAN, tolerance: 0.1 }] }],
  ["metrics[0].tolerance_floor", { metrics: [{ ...SAMPLES, worseWhen: WorseWhen.DIFFERENT, toleranceFloor: 1 }] }],
  ["metrics[0].kind", { metrics: [{ name: "score" }] }],
  ["metrics[16]", { metrics: Array.from({ length: 18 }, (_, i) => ({ ...SAMPLES, name: `m${i}` })) }],
  ["thresholds[0].metric", { thresholds: [{ metric: "score", atMost: 1 }] }],
  [
    "thresholds[0].metric",
    { metrics: [{ name: "predictions", kind: MetricKind.PREDICTIONS }], thresholds: [{ metric: "predictions" }] },
  ],
  ["thresholds[0].quantile", { metrics: [SAMPLES], thresholds: [{ metric: "size", atMost: 1 }] }],
  ["thresholds[0].quantile", { metrics: [MEAN], thresholds: [{ metric: "score", quantile: 0.5, atMost: 1 }] }],
])("what cannot be is found at %s", (field, analysis) => {
  expect(fieldsOf(analysis)).toEqual([field]);
});

test("metrics of all kinds are fine, with limits on them", () => {
  const metrics = [
    { name: "errors", kind: MetricKind.ERRORS },
    RESTARTS,
    { ...MEAN, worseWhen: WorseWhen.LOWER },
    SAMPLES,
    COUNT,
  ];
  const thresholds = [
    { metric: "score", atLeast: 0.5 },
    { metric: "restarts", atMost: 3 },
    { metric: "size", quantile: 0.9, atMost: 3 },
    { metric: "latency", quantile: 0.9, atMost: 3 },
  ];
  expect(fieldsOf({ metrics, thresholds })).toEqual([]);
});

test("where users are assigned, metrics by request are found out of place, restarts are not", () => {
  const sticky = { source: RequestSource.COOKIE, name: "uid" };
  expect(fieldsOf({ metrics: [RESTARTS, MEAN] }, { sticky })).toEqual(["metrics[1]"]);
  const hash = { case: "abTest" as const, value: { by: { case: "hash" as const, value: sticky } } };
  expect(fieldsOf({ metrics: [RESTARTS, MEAN] }, { kind: hash })).toEqual(["metrics[1]"]);
  expect(fieldsOf({ metrics: [RESTARTS] }, { sticky })).toEqual([]);
});
