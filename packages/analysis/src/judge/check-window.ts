import { isSamples } from "../evidence/sample-table.ts";
import type { ArmWindow, JudgeWindow, MetricValue } from "./judge-types.ts";
import type { MetricOptions } from "./metric-options.ts";
import { isCount, momentsOf, valueProblem } from "./metric-value.ts";

/** A window with what cannot be taken out, and why. */
export interface CheckedWindow {
  /** Undefined when nothing can be taken from it. */
  readonly window: JudgeWindow | undefined;
  /** One for each thing left out, as a phrase. */
  readonly problems: readonly string[];
}

/**
 * Leaves out what cannot have been seen: a window of impossible request counts, or a metric that is not what was
 * declared (in both arms, as the arms must be treated alike). Metrics that nobody declared are dropped.
 */
export function checkWindow(window: JudgeWindow, metrics: readonly MetricOptions[]): CheckedWindow {
  const arms = [window.baseline, window.canary];
  if (!arms.every(isPossible)) return { window: undefined, problems: ["its counts are not possible"] };
  if (window.warming === true) return { window: undefined, problems: ["a replica was still starting"] };
  const problems: string[] = [];
  const hasLatency = arms.every(({ latencyMs }) => latencyMs === undefined || isSamples(latencyMs));
  if (!hasLatency) problems.push("latency is not a sample");
  const hasLabels = arms.every(({ predictions }) => Object.values(predictions ?? {}).every(isCount));
  if (!hasLabels) problems.push("predictions are not counts");
  const kept = metrics.filter((metric) => {
    const found = arms.map((arm) => problemOf(arm, metric)).find((problem) => problem !== undefined);
    if (found !== undefined) problems.push(`${metric.name} ${found}`);
    return found === undefined;
  });
  const arm = (raw: ArmWindow): ArmWindow => ({
    requests: raw.requests,
    errors: raw.errors,
    ...(hasLatency && raw.latencyMs !== undefined ? { latencyMs: raw.latencyMs } : {}),
    ...(hasLabels && raw.predictions !== undefined ? { predictions: raw.predictions } : {}),
    metrics: keptMetrics(raw, kept),
  });
  return { window: { ...window, baseline: arm(window.baseline), canary: arm(window.canary) }, problems };
}

function isPossible({ requests, errors }: ArmWindow): boolean {
  return isCount(requests) && isCount(errors) && requests >= errors;
}

/** An arm's own value of a metric, whose name may be that of an object's method. */
function valueIn({ metrics }: ArmWindow, { name }: MetricOptions): MetricValue | undefined {
  return metrics !== undefined && Object.hasOwn(metrics, name) ? metrics[name] : undefined;
}

function problemOf(arm: ArmWindow, metric: MetricOptions): string | undefined {
  const value = valueIn(arm, metric);
  return value === undefined ? undefined : valueProblem(metric, canonical(metric, value));
}

function keptMetrics(arm: ArmWindow, kept: readonly MetricOptions[]): Readonly<Record<string, MetricValue>> {
  return Object.fromEntries(
    kept.flatMap((metric) => {
      const value = valueIn(arm, metric);
      return value === undefined ? [] : [[metric.name, canonical(metric, value)]];
    }),
  );
}

/** Raw values of a bounded metric as their moments; impossible ones as moments that are seen to be. */
function canonical(metric: MetricOptions, value: MetricValue): MetricValue {
  if (metric.kind !== "bounded" || !isRaw(value)) return value;
  const isWithin = value.every((x) => x >= metric.low && x <= metric.high);
  return isWithin ? momentsOf(value) : { count: Number.NaN, sum: Number.NaN, sumSquares: Number.NaN };
}

function isRaw(value: MetricValue): value is readonly number[] {
  return Array.isArray(value);
}
