/** Values as they were seen, or as counts: `counts[i]` values in (bounds[i − 1], bounds[i]]; a last count without bound is beyond. */
export type Samples = readonly number[] | SampleHistogram;

/** Ascending upper bounds; `counts` is as long, or longer by one. */
export interface SampleHistogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

/** Both arms' samples on common, ascending, distinct values. */
export interface SampleTable {
  readonly values: readonly number[];
  readonly baseline: readonly number[];
  readonly canary: readonly number[];
}

/** What a canary's value is compared as when it is tested against a bound rather than the baseline. */
export interface Allowance {
  /** Not decreasing. */
  map(value: number): number;
  /** Which end of its bucket a histogram's value is taken for: the one that the canary does not gain by. */
  readonly end: "lower" | "upper";
}

/** Part of a bound within which a mapped one meets it: 24 bounds a decade are 1.1007 apart, and a tenth is to be one bucket. */
const BOUND_SLACK = 0.001;

/** Whether samples are numbers, and a histogram's bounds ascend and its counts are whole and not negative. */
export function isSamples(samples: Samples): boolean {
  if (!isHistogram(samples)) return samples.every((value) => Number.isFinite(value));
  const { bounds, counts } = samples;
  const extra = counts.length - bounds.length;
  if (!(extra === 0 || extra === 1) || !counts.every((count) => Number.isSafeInteger(count) && count >= 0))
    return false;
  return bounds.every((bound, i) => Number.isFinite(bound) && bound > (bounds[i - 1] ?? Number.NEGATIVE_INFINITY));
}

/** How many values there are. */
export function sampleSize(samples: Samples): number {
  return isHistogram(samples) ? samples.counts.reduce((sum, count) => sum + count, 0) : samples.length;
}

/** The smallest value (of a histogram: upper bound) that at least this part of the sample is at or below; NaN of nothing. */
export function sampleQuantile(samples: Samples, part: number): number {
  const wanted = part * sampleSize(samples);
  let seen = 0;
  for (const [value, count] of [...tally(samples, undefined)].sort(([a], [b]) => a - b)) {
    seen += count;
    if (seen >= wanted) return value;
  }
  return Number.NaN;
}

/**
 * Both arms on common values. When one is a histogram the other is put in its bounds, when both are with different
 * bounds, both in those they share. `allowance` is applied to the canary's values. Arms must be treated alike for the test
 * to hold: undefined when they share no bound.
 */
export function sampleTable(baseline: Samples, canary: Samples, allowance?: Allowance): SampleTable | undefined {
  const bounds = commonBounds(baseline, canary);
  if (bounds?.length === 0) return undefined;
  const theirs = tally(baseline, bounds);
  const ours = tally(canary, bounds);
  return tableOf(theirs, allowance === undefined ? ours : mapped(ours, allowance, bounds));
}

/** Both samples together; with different bounds, in those they share. */
export function mergeSamples(a: Samples, b: Samples): Samples {
  const bounds = commonBounds(a, b);
  if (bounds === undefined) return [...(isHistogram(a) ? [] : a), ...(isHistogram(b) ? [] : b)];
  const counts = [...bounds, Infinity].map(() => 0);
  const places = new Map([...bounds, Infinity].map((bound, i) => [bound, i]));
  for (const samples of [a, b]) {
    for (const [value, count] of tally(samples, bounds)) {
      const place = places.get(value) ?? bounds.length;
      counts[place] = (counts[place] ?? 0) + count;
    }
  }
  return { bounds, counts };
}

/** The values times −1: what was larger is smaller. */
export function negated(samples: Samples): Samples {
  if (!isHistogram(samples)) return samples.map((value) => -value);
  const { bounds, counts } = samples;
  const beyond = counts.length > bounds.length ? [] : [0];
  return { bounds: bounds.map((bound) => -bound).reverse(), counts: [...counts, ...beyond].reverse() };
}

function isHistogram(samples: Samples): samples is SampleHistogram {
  return !Array.isArray(samples);
}

function commonBounds(a: Samples, b: Samples): readonly number[] | undefined {
  if (!isHistogram(a)) return isHistogram(b) ? b.bounds : undefined;
  if (!isHistogram(b)) return a.bounds;
  const others = new Set(b.bounds);
  return a.bounds.filter((bound) => others.has(bound));
}

/** Counts by value; with bounds, by the upper bound of each value's bucket, Infinity beyond the last. */
function tally(samples: Samples, bounds: readonly number[] | undefined): Map<number, number> {
  const counts = new Map<number, number>();
  const put = (value: number, count: number): void => {
    if (count === 0) return;
    const at = bounds === undefined ? value : boundAbove(bounds, value);
    counts.set(at, (counts.get(at) ?? 0) + count);
  };
  if (isHistogram(samples)) {
    for (const [i, count] of samples.counts.entries()) put(samples.bounds[i] ?? Infinity, count);
  } else {
    for (const value of samples) put(value, 1);
  }
  return counts;
}

function mapped(
  counts: ReadonlyMap<number, number>,
  { map, end }: Allowance,
  bounds: readonly number[] | undefined,
): Map<number, number> {
  const result = new Map<number, number>();
  for (const [value, count] of counts) {
    const at = bounds === undefined ? map(value) : mappedBucket(bounds, value, { map, end });
    result.set(at, (result.get(at) ?? 0) + count);
  }
  return result;
}

/** Upper bound of the bucket that a bucket's end is mapped into. */
function mappedBucket(bounds: readonly number[], bound: number, { map, end }: Allowance): number {
  if (end === "upper") {
    const at = map(bound);
    return boundAbove(bounds, at - Math.abs(at) * BOUND_SLACK);
  }
  // A bucket does not hold its lower end.
  const place = bound === Infinity ? bounds.length : bounds.indexOf(bound);
  const at = map(bounds[place - 1] ?? Number.NEGATIVE_INFINITY);
  return boundAbove(bounds, at + Math.abs(at) * BOUND_SLACK + Number.MIN_VALUE);
}

function boundAbove(bounds: readonly number[], value: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((bounds[middle] ?? Infinity) < value) low = middle + 1;
    else high = middle;
  }
  return bounds[low] ?? Infinity;
}

function tableOf(baseline: ReadonlyMap<number, number>, canary: ReadonlyMap<number, number>): SampleTable {
  const values = [...new Set([...baseline.keys(), ...canary.keys()])].sort((a, b) => a - b);
  return {
    values,
    baseline: values.map((value) => baseline.get(value) ?? 0),
    canary: values.map((value) => canary.get(value) ?? 0),
  };
}
