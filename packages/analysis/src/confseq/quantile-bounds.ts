import { bestRho, twoSidedNormalMixture } from "./mixtures.ts";

/**
 * Half-width of a band around an empirical distribution function that holds for all values and at all times at once with
 * probability 1 − alpha, after `count` values. For display: it needs many times the requests that the tests do.
 * Source: Howard and Ramdas, Bernoulli 2022, theorem 2 with A = 0.85 and the simplified constant; used by Netflix.
 */
export function dkwRadius(count: number, alpha: number): number {
  if (count < 1) return 1;
  return 0.85 * Math.sqrt((Math.log(Math.log(Math.E * count)) + 0.8 * Math.log(1612 / alpha)) / count);
}

/** Values at which bounds of a median are tightest. */
const MEDIAN_TIGHTEST_AT = 60;

/**
 * Parts of a sample that its median lies between at all times at once with probability 1 − alpha; 0 and 1: no bound yet. Of
 * independent values each is below the median with chance ½: a sub-Gaussian step (Howard et al., Annals of Statistics 2021).
 */
export function medianRanks(count: number, alpha: number): { low: number; high: number } {
  const mixture = twoSidedNormalMixture(bestRho(MEDIAN_TIGHTEST_AT / 4, alpha));
  const radius = count < 1 ? 1 : mixture.bound(count / 4, Math.log(1 / alpha)) / count;
  return { low: Math.max(0, 0.5 - radius), high: Math.min(1, 0.5 + radius) };
}
