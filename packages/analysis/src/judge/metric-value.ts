import type { Moments } from "../evidence/bernstein-bets.ts";
import { isSamples, type Samples } from "../evidence/sample-table.ts";
import type { EventCount, MetricValue } from "./judge-types.ts";
import type { MetricOptions } from "./metric-options.ts";

/** Whether a value is of events over exposure. */
export function isEventCount(value: MetricValue): value is EventCount {
  return "events" in value;
}

/** Whether a value is of moments. */
export function isMoments(value: MetricValue): value is Moments {
  return "sumSquares" in value;
}

/** Whether a value is raw or a histogram. */
export function isSampleValue(value: MetricValue): value is Samples {
  return Array.isArray(value) || "bounds" in value;
}

/** Moments of raw values. */
export function momentsOf(values: readonly number[]): Moments {
  return {
    count: values.length,
    sum: values.reduce((sum, value) => sum + value, 0),
    sumSquares: values.reduce((sum, value) => sum + value * value, 0),
  };
}

/** Why a value cannot be of a metric, undefined when it can. */
export function valueProblem(metric: MetricOptions, value: MetricValue): string | undefined {
  switch (metric.kind) {
    case "events":
      return isEventCount(value) && isCount(value.events) && value.exposure >= 0 && Number.isFinite(value.exposure)
        ? undefined
        : "is not events over an exposure";
    case "bounded":
      return isMoments(value) && areWithin(value, metric.low, metric.high)
        ? undefined
        : `is not of values between ${metric.low} and ${metric.high}`;
    case "distribution":
      return isSampleValue(value) && isSamples(value) ? undefined : "is not a sample";
  }
  return metric satisfies never;
}

/** Whether a number is whole and not negative. */
export function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function areWithin({ count, sum, sumSquares }: Moments, low: number, high: number): boolean {
  if (!isCount(count) || !Number.isFinite(sum) || !Number.isFinite(sumSquares)) return false;
  const slack = 1e-9 * (1 + count * Math.max(Math.abs(low), Math.abs(high)));
  return sum >= count * low - slack && sum <= count * high + slack && sumSquares >= 0;
}
