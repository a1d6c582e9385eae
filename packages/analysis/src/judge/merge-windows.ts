import { mergeSamples } from "../evidence/sample-table.ts";
import type { ArmWindow, JudgeWindow, MetricValue } from "./judge-types.ts";
import { isEventCount, isMoments, isSampleValue } from "./metric-value.ts";

/** Two checked windows of the same weight as one: nothing that a test looks at changes, but for bounds that differ. */
export function mergeWindows(a: JudgeWindow, b: JudgeWindow): JudgeWindow {
  return {
    seconds: a.seconds + b.seconds,
    weight: a.weight,
    baseline: mergeArms(a.baseline, b.baseline),
    canary: mergeArms(a.canary, b.canary),
  };
}

function mergeArms(a: ArmWindow, b: ArmWindow): ArmWindow {
  const latencyMs = either(a.latencyMs, b.latencyMs, mergeSamples);
  const predictions = either(a.predictions, b.predictions, (x, y) => mergeByKey(x, y, (m, n) => m + n));
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    ...(latencyMs === undefined ? {} : { latencyMs }),
    ...(predictions === undefined ? {} : { predictions }),
    metrics: mergeByKey(a.metrics ?? {}, b.metrics ?? {}, mergeValues),
  };
}

/** Two values of one metric as one; the first when they are of different kinds. */
export function mergeValues(a: MetricValue, b: MetricValue): MetricValue {
  if (isSampleValue(a)) return isSampleValue(b) ? mergeSamples(a, b) : a;
  if (isEventCount(a)) {
    return isEventCount(b) ? { events: a.events + b.events, exposure: a.exposure + b.exposure } : a;
  }
  if (!isMoments(b)) return a;
  return { count: a.count + b.count, sum: a.sum + b.sum, sumSquares: a.sumSquares + b.sumSquares };
}

function either<T>(a: T | undefined, b: T | undefined, merge: (a: T, b: T) => T): T | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return merge(a, b);
}

function mergeByKey<T>(
  a: Readonly<Record<string, T>>,
  b: Readonly<Record<string, T>>,
  merge: (a: T, b: T) => T,
): Readonly<Record<string, T>> {
  const merged = new Map(Object.entries(a));
  for (const [key, value] of Object.entries(b)) {
    const known = merged.get(key);
    merged.set(key, known === undefined ? value : merge(known, value));
  }
  return Object.fromEntries(merged);
}
