import type { Outcomes } from "./boosted-evidence.ts";
import { hypergeometricLog, logWaysOf, type Stratum } from "./hypergeometric.ts";
import { logSum, logWeightedSum } from "./log-mean.ts";
import type { RatioGrid } from "./ratio-grid.ts";

/** A range of ratios. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Log likelihood of each ratio of a grid between the arms' odds (or rates), given everything that the ratio does not
 * decide. From it follow the evidence against "not worse", against "worse than the bound", and a confidence sequence.
 *
 * Strata: given how many of a stratum's requests were hits, which of them are the canary's is decided by the ratio
 * alone; the base rate may change from stratum to stratum and weights need not be known (a sequential Fisher and
 * Mantel-Haenszel test). Events over exposure: given an event, it is the canary's with probability
 * θ(r) = s·r/(s·r + 1 − s) at the canary's share s of the exposure (Lindon and Malek, NeurIPS 2022). Likelihood ratios are
 * martingales at the null ratio and, as both families have monotone likelihood ratios, supermartingales beyond it; so
 * are their mixtures, and by Ville's inequality none ever exceeds 1/α with a chance above α.
 */
export class RatioCurve {
  readonly grid: RatioGrid;
  readonly logs: Float64Array;

  /** `logs`, one for each ratio, go on from an earlier curve and are kept, not copied. */
  constructor(grid: RatioGrid, logs?: Float64Array) {
    this.grid = grid;
    this.logs = logs ?? new Float64Array(grid.logRatios.length);
  }

  /** Adds requests that both arms served side by side. One arm alone, or no hits, or only hits, tell nothing. */
  addStratum(stratum: Stratum): void {
    const { baselineTrials, canaryTrials, baselineHits, canaryHits } = stratum;
    const hits = baselineHits + canaryHits;
    if (hits === 0 || baselineTrials === 0 || canaryTrials === 0 || hits === baselineTrials + canaryTrials) return;
    this.#add((logRatio) => hypergeometricLog(stratum, logRatio));
  }

  /**
   * What the evidence against "the ratio is at most 1" would be multiplied by, for each number of the stratum's hits that
   * may be the canary's; undefined when there are more than `most`. It rises with that number, so that what has mean 1 at
   * ratio 1 has less below, also after it was capped.
   */
  outcomes(stratum: Stratum, most: number): Outcomes | undefined {
    const logWays = logWaysOf(stratum, most);
    if (logWays === undefined) return undefined;
    const logTotal = logSum(logWays);
    const terms = this.logs.map((log, i) => log + Math.log(this.grid.worse[i] ?? 0));
    const logNow = logSum(terms);
    const tilts = this.grid.logRatios.flatMap((logRatio, i) => {
      const part = Math.exp((terms[i] ?? 0) - logNow);
      return part > 0
        ? [{ logRatio, scale: part * Math.exp(logTotal - logSum(logWays.map((way, j) => way + j * logRatio))) }]
        : [];
    });
    return {
      chances: logWays.map((way) => Math.exp(way - logTotal)),
      factors: logWays.map((_, j) =>
        tilts.reduce((sum, { logRatio, scale }) => sum + scale * Math.exp(j * logRatio), 0),
      ),
    };
  }

  /** Adds events at the canary's share of the exposure, strictly between 0 and 1. */
  addEvents(canaryEvents: number, baselineEvents: number, share: number): void {
    this.#add((logRatio) => {
      // (1 − θ(r))/(1 − s), simplified so that nothing cancels near s = 0 or 1.
      const ifBaseline = -Math.log1p(share * Math.expm1(logRatio));
      return canaryEvents * (logRatio + ifBaseline) + baselineEvents * ifBaseline;
    });
  }

  /** Natural logarithm of the e-value against "the ratio is at most 1". */
  get logWorse(): number {
    return logWeightedSum(this.logs, this.grid.worse) - (this.logs[this.grid.even] ?? 0);
  }

  /** Natural logarithm of the e-value against "the ratio is at least the bound". */
  get logBetter(): number {
    return logWeightedSum(this.logs, this.grid.better) - (this.logs[this.grid.bound] ?? 0);
  }

  /** Natural logarithm of the two-sided e-value against "the ratio is 1". */
  get logDifferent(): number {
    return logWeightedSum(this.logs, this.grid.all) - (this.logs[this.grid.even] ?? 0);
  }

  /**
   * Ratios not refuted at level alpha, rounded outwards to the grid: covers the true one at all times at once with
   * probability 1 − alpha. 0 and Infinity where the grid ends first.
   */
  interval(alpha: number): Interval {
    const { logRatios } = this.grid;
    const least = logWeightedSum(this.logs, this.grid.all) - Math.log(1 / alpha);
    const kept = (i: number): boolean => (this.logs[i] ?? 0) > least;
    const first = logRatios.findIndex((_, i) => kept(i));
    const last = logRatios.findLastIndex((_, i) => kept(i));
    if (first < 0) return this.#aroundBest();
    return { low: Math.exp(logRatios[first - 1] ?? -Infinity), high: Math.exp(logRatios[last + 1] ?? Infinity) };
  }

  /** When every grid point is refuted the truth lies between two of them: next to the likeliest. */
  #aroundBest(): Interval {
    const best = this.logs.indexOf(this.logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
    const { logRatios } = this.grid;
    return { low: Math.exp(logRatios[best - 1] ?? -Infinity), high: Math.exp(logRatios[best + 1] ?? Infinity) };
  }

  #add(logLikelihood: (logRatio: number) => number): void {
    const even = logLikelihood(0);
    for (const [i, logRatio] of this.grid.logRatios.entries()) {
      this.logs[i] = (this.logs[i] ?? 0) + logLikelihood(logRatio) - even;
    }
  }
}
