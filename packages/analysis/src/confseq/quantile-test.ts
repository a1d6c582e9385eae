import { betaBinomialMixture } from "./beta-binomial.ts";

/** Two samples, in ascending order, and the quantile that is compared. */
export interface QuantileTestOptions {
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly quantile: number;
  /** Values at which the test is sharpest. */
  readonly tOpt: number;
}

/**
 * Anytime-valid p-value for "both arms have the same value at this quantile": for any common value x, the counts at or
 * below it are binomial in both arms; the least evidence over x counts.
 * Source: Howard and Ramdas, Bernoulli 2022, theorem 5.
 */
export function quantileTestPValue({ a, b, quantile, tOpt }: QuantileTestOptions): number {
  const spread = quantile * (1 - quantile);
  const mixture = betaBinomialMixture({
    g: quantile,
    h: 1 - quantile,
    vOpt: spread * tOpt,
    alphaOpt: 0.05,
    isOneSided: false,
  });
  const logOf = (part: number, count: number): number =>
    mixture.logMartingale((part - quantile) * count, spread * count);
  const arms = [a, b].map((values) => ({ values, least: leastPart((part) => logOf(part, values.length)) }));
  const evidence = (x: number): number =>
    arms.reduce((sum, { values, least }) => sum + logOf(partBelow(values, x, least), values.length), 0);
  const lowest = [...a, ...b].reduce((least, x) => Math.min(least, evidence(x)), Infinity);
  return Math.min(1, Math.exp(-lowest));
}

/** The part of values below x that speaks least against x being the quantile: ties may count either way. */
function partBelow(values: readonly number[], x: number, least: number): number {
  const below = countBelow(values, x, false) / values.length;
  const upTo = countBelow(values, x, true) / values.length;
  return Math.min(Math.max(least, below), upTo);
}

function countBelow(values: readonly number[], x: number, isInclusive: boolean): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const value = values[middle] ?? Infinity;
    if (value < x || (isInclusive && value === x)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Where a convex function on (0, 1) is least. */
function leastPart(f: (part: number) => number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 200; i++) {
    const third = (high - low) / 3;
    if (f(low + third) < f(high - third)) high -= third;
    else low += third;
  }
  return (low + high) / 2;
}
