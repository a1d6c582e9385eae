/** Exponent of the union over epochs, and their ratio; the values of the papers. */
const S = 1.4;
const ETA = 2;
/** Riemann's zeta function at S. */
const ZETA_S = 3.105_547_277_618_43;
const K1 = (ETA ** 0.25 + ETA ** -0.25) / Math.SQRT2;
const K2 = (Math.sqrt(ETA) + 1) / 2;

/** Where a stitched bound starts, at what level, and the scale of the deviations. */
export interface StitchingOptions {
  readonly alpha: number;
  /** Intrinsic time from which the bound is tight. */
  readonly vMin: number;
  /** Of sub-gamma deviations; negative: bounded the other way. */
  readonly scale: number;
}

/** Closed-form bound of a sub-gamma sum at all times. Source: Howard et al., Annals of Statistics 2021, theorem 1. */
export function polynomialStitching(v: number, { alpha, vMin, scale }: StitchingOptions): number {
  const time = Math.max(v, vMin);
  const level = S * Math.log(Math.log((ETA * time) / vMin)) + Math.log(ZETA_S / (alpha * Math.log(ETA) ** S));
  const linear = K2 * scale * level;
  return Math.sqrt(K1 * K1 * time * level + linear * linear) + linear;
}

/** After how many values a bound is asked for and from how many on it is tight. */
export interface EmpiricalOptions {
  readonly count: number;
  readonly alpha: number;
  readonly tMin: number;
}

/**
 * Half-width of a band around an empirical distribution function at all times from `tMin` on, with the constant solved
 * for. Source: Howard and Ramdas, Bernoulli 2022, theorem 2.
 */
export function empiricalProcessBound({ count, alpha, tMin }: EmpiricalOptions, slope = 0.85): number {
  if (count < tMin) return Infinity;
  const constant = solveConstant(alpha, slope);
  return slope * Math.sqrt((Math.log(1 + Math.log(count / tMin)) + constant) / count);
}

/**
 * Bound of the number of values below a quantile against its expectation, for all quantiles and times at once.
 * Source: Howard and Ramdas, Bernoulli 2022, theorem 3 ("double stitching"), with δ = 1/2.
 */
export function doubleStitching(quantile: number, { count, alpha, tMin }: EmpiricalOptions): number {
  const delta = 0.5;
  const time = Math.max(count, tMin);
  const logit = Math.log(quantile / (1 - quantile));
  const shifted = 1 / (1 + Math.exp(-(logit + 2 * delta * Math.sqrt((tMin * ETA) / time))));
  const nearest = quantile >= 0.5 ? quantile : Math.min(0.5, shifted);
  const variance = nearest * (1 - nearest);
  const steps = (Math.sqrt(time / tMin) * Math.abs(logit)) / (2 * delta) + 1;
  const union = (2 * ZETA_S * (2 * ZETA_S + 1)) / (alpha * Math.log(ETA) ** S);
  const level = S * Math.log(Math.log((ETA * time) / tMin)) + S * Math.log(steps) + Math.log(union);
  const linear = (K2 * (1 - 2 * quantile) * level) / 3;
  const grid = delta * Math.sqrt((ETA * time * variance) / tMin);
  return grid + Math.sqrt(K1 * K1 * variance * time * level + linear * linear) + linear;
}

/** The constant at which the error, least over the epochs' ratio, is alpha. */
function solveConstant(alpha: number, slope: number): number {
  let [low, high] = [1, 100];
  while (high - low > 1e-10) {
    const middle = (low + high) / 2;
    if (leastError(middle, slope) > alpha) low = middle;
    else high = middle;
  }
  return high;
}

function leastError(constant: number, slope: number): number {
  const error = (eta: number): number => {
    const gap = slope - Math.sqrt((2 * (eta - 1)) / constant);
    const gammaSquared = (2 / eta) * gap * gap;
    if (gap <= 0 || gammaSquared <= 1) return Infinity;
    return 4 * Math.exp(-gammaSquared * constant) * (1 + 1 / ((gammaSquared - 1) * Math.log(eta)));
  };
  // A coarse look, then golden sections: the error is infinite towards both ends.
  const count = 2_000;
  const step = (2 * slope * slope - 1) / count;
  const etas = Array.from({ length: count - 1 }, (_, i) => 1 + step * (i + 1));
  const best = etas.reduce((a, b) => (error(b) < error(a) ? b : a));
  return goldenMinimum(error, Math.max(1 + step / 1_000, best - step), best + step);
}

function goldenMinimum(f: (x: number) => number, from: number, to: number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [from, to];
  for (let i = 0; i < 60; i++) {
    const [left, right] = [high - ratio * (high - low), low + ratio * (high - low)];
    if (f(left) < f(right)) high = right;
    else low = left;
  }
  return f((low + high) / 2);
}
