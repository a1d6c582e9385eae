import { logGamma } from "../evidence/incomplete-gamma.ts";
import { incompleteBeta } from "./incomplete-beta.ts";
import { bestRho, type Mixture, smallestSum } from "./mixtures.ts";

/** Deviations within [−g, h] (Bernoulli: success less p, so g = p and h = 1 − p), and where the bound is tightest. */
export interface BetaBinomialOptions {
  readonly g: number;
  readonly h: number;
  readonly vOpt: number;
  readonly alphaOpt: number;
  readonly isOneSided: boolean;
}

/**
 * Beta-binomial mixture for sums of deviations within [−g, h]; V = g·h·n for n of them. The sum cannot exceed V/g.
 * Source: Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 2021, proposition 7.
 */
export function betaBinomialMixture({ g, h, vOpt, alphaOpt, isOneSided }: BetaBinomialOptions): Mixture {
  const rho = bestRho(vOpt, isOneSided ? 2 * alphaOpt : alphaOpt);
  const r = Math.max(rho - g * h, 1e-3 * g * h);
  const width = g + h;
  const part = isOneSided ? h / width : 1;
  const logIntegral = (a: number, b: number): number =>
    logGamma(a) + logGamma(b) - logGamma(a + b) + (part === 1 ? 0 : Math.log(incompleteBeta(a, b, part)));
  const lead = logIntegral(r / (g * width), r / (h * width));
  const logMartingale = (s: number, v: number): number => {
    const up = (v + h * s) / (h * width);
    const down = (v - g * s) / (g * width);
    const a = (r + v - g * s) / (g * width);
    const b = (r + v + h * s) / (h * width);
    return (v / (g * h)) * Math.log(width) - up * Math.log(g) - down * Math.log(h) + logIntegral(a, b) - lead;
  };
  const bound = (v: number, logThreshold: number): number => {
    const highest = v / g;
    return logMartingale(highest, v) < logThreshold
      ? highest
      : smallestSum((s) => logMartingale(Math.min(s, highest), v), logThreshold, v);
  };
  return { logMartingale, bound };
}

/** Successes in trials, and where the interval is tightest. */
export interface BernoulliCounts {
  readonly successes: number;
  readonly trials: number;
  readonly alpha: number;
  /** Trials at which the interval is tightest. */
  readonly tOpt: number;
}

/** Covers a success rate at all times at once with probability 1 − alpha: rates whose two-sided mixture stays below 1/α. */
export function bernoulliInterval({ successes, trials, alpha, tOpt }: BernoulliCounts): { low: number; high: number } {
  const isRefuted = (p: number): boolean => {
    const mixture = betaBinomialMixture({
      g: p,
      h: 1 - p,
      vOpt: p * (1 - p) * tOpt,
      alphaOpt: 0.05,
      isOneSided: false,
    });
    return mixture.logMartingale(successes - p * trials, p * (1 - p) * trials) >= Math.log(1 / alpha);
  };
  const rate = successes / trials;
  return {
    low: successes === 0 ? 0 : edge(0, rate, isRefuted),
    high: successes === trials ? 1 : edge(1, rate, isRefuted),
  };
}

/** Where refuted rates end, between a refuted one and one that is not. */
function edge(refuted: number, kept: number, isRefuted: (p: number) => boolean): number {
  let [outside, inside] = [refuted, kept];
  while (Math.abs(outside - inside) > 1e-12) {
    const middle = (outside + inside) / 2;
    if (isRefuted(middle)) outside = middle;
    else inside = middle;
  }
  return (outside + inside) / 2;
}
