import {
  type MetricCount,
  MetricKind,
  type MetricMoments,
  MetricProblem,
  type MetricSamples,
  type MetricSpec,
} from "@kedge/proto";
import type { MetricReading } from "./exposition.ts";

type Plain<T> = Omit<T, "$typeName" | "$unknown">;

/** What a metric of one replica brought between two scrapes. */
export type MetricGrowth =
  | { readonly case: "samples"; readonly value: Plain<MetricSamples> }
  | { readonly case: "moments"; readonly value: Plain<MetricMoments> }
  | { readonly case: "events"; readonly value: Pick<MetricCount, "events"> }
  | { readonly case: "problem"; readonly value: MetricProblem };

/** More in one scrape is no figure but a lie. */
const MAX_GROWTH = 10_000_000;
const WRONG_TYPE: MetricGrowth = { case: "problem", value: MetricProblem.WRONG_TYPE };
const IMPOSSIBLE: MetricGrowth = { case: "problem", value: MetricProblem.IMPOSSIBLE };

/**
 * The growth of a metric since the scrape before, by its kind: counters and histograms as differences, a gauge as one value.
 * A counter that fell began anew, so its whole value is growth, as in Prometheus. The figures are not trusted.
 *
 * @param before what the scrape before found; "absent" when it found nothing of the name, undefined when there was none.
 * @returns undefined when there is nothing to compare with yet.
 */
export function metricGrowth(
  spec: MetricSpec,
  now: MetricReading,
  before: MetricReading | "absent" | undefined,
): MetricGrowth | undefined {
  if (now.isBroken) return IMPOSSIBLE;
  const isPlain = now.type === "gauge" || now.type === "untyped";
  if (spec.kind === MetricKind.COUNT)
    return now.type === "counter" || now.type === "untyped" ? events(now, before) : WRONG_TYPE;
  if (isPlain) return gauge(spec, now);
  if (now.type === "histogram" || (now.type === "summary" && spec.kind === MetricKind.MEAN)) {
    return before === undefined ? undefined : values(spec, now, before);
  }
  return WRONG_TYPE;
}

function events(now: MetricReading, before: MetricReading | "absent" | undefined): MetricGrowth | undefined {
  if (before === undefined) return undefined;
  const old = before === "absent" ? 0 : before.total;
  const grown = now.total < old ? now.total : now.total - old;
  return isCount(grown) ? { case: "events", value: { events: grown } } : IMPOSSIBLE;
}

function gauge({ kind, lower, upper }: MetricSpec, { total, series }: MetricReading): MetricGrowth {
  const value = total / series;
  if (!Number.isFinite(value)) return IMPOSSIBLE;
  if (kind === MetricKind.SAMPLES) return { case: "samples", value: { bounds: [], counts: [], values: [value] } };
  const clipped = clip(value, lower, upper);
  return { case: "moments", value: { count: 1, sum: clipped, sumSquares: clipped * clipped } };
}

function values(spec: MetricSpec, now: MetricReading, before: MetricReading | "absent"): MetricGrowth | undefined {
  const old = before === "absent" || before.count > now.count ? undefined : before;
  const count = now.count - (old?.count ?? 0);
  const sum = now.sum - (old?.sum ?? 0);
  if (!isCount(count) || !Number.isFinite(sum)) return IMPOSSIBLE;
  const bounds = [...now.atMost.keys()];
  const hasOtherBounds = old !== undefined && !isSameList(bounds, [...old.atMost.keys()]);
  if (hasOtherBounds) return undefined;
  const counts = bucketCounts(now, old);
  const seen = counts.reduce((all, each) => all + each, 0);
  if (now.type === "histogram" && (!counts.every(isCount) || seen !== count || bounds.at(-1) !== Infinity))
    return IMPOSSIBLE;
  const finite = bounds.slice(0, -1);
  if (spec.kind === MetricKind.SAMPLES) return { case: "samples", value: { bounds: finite, counts, values: [] } };
  return { case: "moments", value: momentsOf(spec, { count, sum, bounds: finite, counts }) };
}

/** How many values came into each bucket. */
function bucketCounts(now: MetricReading, old: MetricReading | undefined): number[] {
  let below = 0;
  return [...now.atMost].map(([bound, atMost]) => {
    const grown = atMost - (old?.atMost.get(bound) ?? 0);
    const count = grown - below;
    below = grown;
    return count;
  });
}

interface Seen {
  readonly count: number;
  readonly sum: number;
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

/**
 * The mean is exact but for clipping. Of the squares buckets tell a bound only, and the judge needs one that is not too small:
 * values are at most half a bucket from its middle, so their distances from the mean are, as a vector, no longer than those of
 * the middles and those halves together (Minkowski). Without buckets it is what bounds and mean allow (Bhatia and Davis).
 */
function momentsOf({ lower, upper }: MetricSpec, { count, sum, bounds, counts }: Seen): Plain<MetricMoments> {
  if (count === 0) return { count: 0, sum: 0, sumSquares: 0 };
  const mean = clip(sum / count, lower, upper);
  const widest = count * (mean - lower) * (upper - mean);
  const squares = { middles: 0, halves: 0 };
  for (const [i, each] of counts.entries()) {
    const from = clip(bounds[i - 1] ?? lower, lower, upper);
    const to = clip(bounds[i] ?? upper, lower, upper);
    squares.middles += each * ((from + to) / 2 - mean) ** 2;
    squares.halves += each * ((to - from) / 2) ** 2;
  }
  const spread = counts.length === 0 ? widest : (Math.sqrt(squares.middles) + Math.sqrt(squares.halves)) ** 2;
  return { count, sum: count * mean, sumSquares: count * mean * mean + Math.min(widest, spread) };
}

function clip(value: number, lower: number, upper: number): number {
  return Math.min(upper, Math.max(lower, value));
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= MAX_GROWTH;
}

function isSameList(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
