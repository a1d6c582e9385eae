import type { History } from "./history.ts";

/**
 * How far the newest `length` values are, as a shape, from the most similar stretch of the history: the mean distance a
 * value, in the values' own unit. A causal discord score (Lu et al., DAMP, KDD 2022, without its index). 0 while
 * the history is too short. Costs history × length steps at most.
 */
export function shapeNovelty(history: History, length: number): number {
  const values = history.values();
  const newest = values.length - length;
  if (newest < 2 * length) return 0;
  let best = Number.POSITIVE_INFINITY;
  for (let start = newest - length; start >= 0; start--) {
    let sum = 0;
    for (let i = 0; i < length && sum < best; i++)
      sum += Math.abs((values[newest + i] ?? 0) - (values[start + i] ?? 0));
    best = Math.min(best, sum);
  }
  return best / length;
}
