/**
 * Half-width of a band around an empirical distribution function that holds for all values and at all times at once with
 * probability 1 − alpha, after `count` values. For display: it needs many times the requests that the tests do.
 * Source: Howard and Ramdas, Bernoulli 2022, theorem 2 with A = 0.85 and the simplified constant; used by Netflix.
 */
export function dkwRadius(count: number, alpha: number): number {
  if (count < 1) return 1;
  return 0.85 * Math.sqrt((Math.log(Math.log(Math.E * count)) + 0.8 * Math.log(1612 / alpha)) / count);
}

/** Parts of a sample that its quantile lies between at all times at once; 0 and 1: there is no bound yet. */
export function quantileRanks(count: number, quantile: number, alpha: number): { low: number; high: number } {
  const radius = dkwRadius(count, alpha);
  return { low: Math.max(0, quantile - radius), high: Math.min(1, quantile + radius) };
}
