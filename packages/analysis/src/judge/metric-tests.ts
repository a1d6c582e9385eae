import { DistributionTest } from "./distribution-test.ts";
import { ErrorTest } from "./error-test.ts";
import { EventTest } from "./event-test.ts";
import type { ResolvedJudgeOptions } from "./judge-options.ts";
import { LabelTest } from "./label-test.ts";
import { MeanTest } from "./mean-test.ts";
import type { MetricOptions } from "./metric-options.ts";
import type { MetricTest } from "./metric-test.ts";
import { isSampleValue } from "./metric-value.ts";
import { NO_TOLERANCE } from "./tolerance.ts";

const DEFAULT_MEAN_MARGIN = 0.05;

/** The tests of the built-in metrics but errors, and of the user's. */
export function createMetricTests(options: ResolvedJudgeOptions): readonly MetricTest[] {
  return [
    new DistributionTest({
      name: "latency",
      worse: "higher",
      margin: options.margin,
      ...options.latency,
      unit: " ms",
      samplesOf: (arm) => arm.latencyMs,
    }),
    new LabelTest(options.labelMargin),
    ...options.metrics.map((metric) => testOf(metric, options.margin)),
  ];
}

/** The test of the errors. */
export function createErrorTest({ margin, negligibleErrorRate, unit }: ResolvedJudgeOptions): ErrorTest {
  return new ErrorTest({ margin, negligibleErrorRate, units: `${unit}s` });
}

function testOf(metric: MetricOptions, margin: number): MetricTest {
  switch (metric.kind) {
    case "events":
      return new EventTest(metric);
    case "bounded":
      return new MeanTest({ ...metric, margin: metric.margin ?? DEFAULT_MEAN_MARGIN });
    case "distribution":
      return new DistributionTest({
        ...metric,
        margin: metric.margin ?? margin,
        tolerance: metric.tolerance ?? NO_TOLERANCE,
        settle: 0,
        unit: "",
        samplesOf: ({ metrics }) => {
          const value = metrics?.[metric.name];
          return value !== undefined && isSampleValue(value) ? value : undefined;
        },
      });
  }
  return metric satisfies never;
}
