import { logGamma, regularisedGammaP, regularisedGammaQ } from "../evidence/incomplete-gamma.ts";
import { normalCdf } from "../evidence/normal.ts";

/**
 * Mixture of exponential supermartingales: bounds a sum S of deviations at all times at once, given its intrinsic time V.
 * Source of all of them: Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 2021.
 */
export interface Mixture {
  /** Natural logarithm of the supermartingale at sum `s` and intrinsic time `v`. */
  logMartingale(s: number, v: number): number;
  /** The sum that the supermartingale first reaches exp(logThreshold) at, given `v`. */
  bound(v: number, logThreshold: number): number;
}

/** Tuning that makes a two-sided normal mixture tightest at intrinsic time `vOpt`; one-sided ones take 2·alpha. */
export function bestRho(vOpt: number, alpha: number): number {
  const needed = Math.log(1 / alpha);
  return vOpt / (2 * needed + Math.log(1 + 2 * needed));
}

/** For sub-Gaussian deviations to both sides; threshold log(1/α). */
export function twoSidedNormalMixture(rho: number): Mixture {
  return {
    logMartingale: (s, v) => 0.5 * Math.log(rho / (v + rho)) + (s * s) / (2 * (v + rho)),
    bound: (v, logThreshold) => Math.sqrt((v + rho) * (Math.log(1 + v / rho) + 2 * logThreshold)),
  };
}

/** For sub-Gaussian deviations upwards. */
export function oneSidedNormalMixture(rho: number): Mixture {
  const logMartingale = (s: number, v: number): number =>
    0.5 * Math.log((4 * rho) / (v + rho)) + (s * s) / (2 * (v + rho)) + Math.log(normalCdf(s / Math.sqrt(v + rho)));
  return { logMartingale, bound: (v, logThreshold) => smallestSum((s) => logMartingale(s, v), logThreshold, v) };
}

/** For deviations upwards of at most `range` (empirical Bernstein; V sums squared errors of predictions). */
export function gammaExponentialMixture(rho: number, range: number): Mixture {
  const q = rho / (range * range);
  const lead = q * Math.log(q) - logGamma(q) - Math.log(regularisedGammaP(q, q));
  const logMartingale = (s: number, v: number): number => {
    const a = (v + rho) / (range * range);
    const b = (range * s + v) / (range * range);
    return lead + logGamma(a) + Math.log(regularisedGammaP(a, b + q)) - a * Math.log(b + q) + b;
  };
  return { logMartingale, bound: (v, logThreshold) => smallestSum((s) => logMartingale(s, v), logThreshold, v) };
}

/** For sub-Poisson deviations upwards of scale `scale`. */
export function gammaPoissonMixture(rho: number, scale: number): Mixture {
  const q = rho / (scale * scale);
  const lead = q * Math.log(q) - logGamma(q) - Math.log(regularisedGammaQ(q, q));
  const logMartingale = (s: number, v: number): number => {
    const a = v / (scale * scale) + q;
    const sum = s / scale + a;
    return lead + logGamma(sum) + Math.log(regularisedGammaQ(sum, a)) - sum * Math.log(a) + a - q;
  };
  return { logMartingale, bound: (v, logThreshold) => smallestSum((s) => logMartingale(s, v), logThreshold, v) };
}

/** Smallest sum at which an increasing function reaches a level, by doubling and bisection. */
export function smallestSum(logMartingale: (s: number) => number, level: number, v: number): number {
  let high = Math.sqrt(v + 1);
  while (logMartingale(high) < level) high *= 2;
  let low = 0;
  while (high - low > 1e-11 * high) {
    const middle = (low + high) / 2;
    if (logMartingale(middle) < level) low = middle;
    else high = middle;
  }
  return high;
}
