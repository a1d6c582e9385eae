import { bestRho, twoSidedNormalMixture } from "../confseq/mixtures.ts";
import { BERNSTEIN_MEMORY, BernsteinBets, type Moments } from "./bernstein-bets.ts";
import { logSpaced, logWeightedSum, normalised } from "./log-mean.ts";
import type { Interval } from "./ratio-curve.ts";

const EFFECTS = logSpaced(0.01, 0.5, 6);
const WEIGHTS = normalised(EFFECTS.map(() => 1));
const HALVES = [0.5, 0.5];
const SUMS = 5;
const BOLDEST = 0.9;
/** Intrinsic time at which intervals are tightest: that of about 4,000 values on two even arms. */
const MIXTURE = twoSidedNormalMixture(bestRho(250, 0.01));

/** How many numbers `DifferenceBets` remembers. */
export const BETS_MEMORY = EFFECTS.length + SUMS + BERNSTEIN_MEMORY;

/**
 * Evidence that the mean of values in [0, 1] is higher in the canary than in the baseline: bets on the difference of the
 * arms' means within each stratum. If the canary's mean is not higher the difference's expectation is at most 0, so
 * wealth Π(1 + λ·difference), with λ chosen before the stratum is seen (but for its counts), is a supermartingale; so is
 * the mean over several λ, each the best for one size of effect at the variance so far. Differences within strata make
 * drift common to both arms cancel. A stratum of many values is one difference all the same, so half of the wealth is in
 * `BernsteinBets`, which gains by value.
 * Source: Waudby-Smith and Ramdas, JRSS-B 2024 (betting), applied to stratum differences.
 */
export class DifferenceBets {
  readonly #logs: Float64Array;
  /** Precision-weighted differences, precision, and moments of all values. */
  readonly #sums: Float64Array;
  readonly #byValue: BernsteinBets;

  /** `memory` as returned by `memory`, to go on from. */
  constructor(memory: Float64Array = new Float64Array(BETS_MEMORY)) {
    this.#logs = memory.slice(0, EFFECTS.length);
    this.#sums = memory.slice(EFFECTS.length, EFFECTS.length + SUMS);
    this.#byValue = new BernsteinBets(memory.slice(EFFECTS.length + SUMS));
  }

  get memory(): Float64Array {
    return Float64Array.from([...this.#logs, ...this.#sums, ...this.#byValue.memory]);
  }

  /** Adds a stratum; one arm alone tells nothing. */
  add(baseline: Moments, canary: Moments): void {
    if (baseline.count === 0 || canary.count === 0) return;
    this.#byValue.add(baseline, canary);
    const difference = canary.sum / canary.count - baseline.sum / baseline.count;
    const precision = 1 / (1 / canary.count + 1 / baseline.count);
    const variance = this.#variance();
    for (const [i, effect] of EFFECTS.entries()) {
      const bet = Math.min(BOLDEST, effect / (variance / precision + effect * effect));
      this.#logs[i] = (this.#logs[i] ?? 0) + Math.log1p(bet * difference);
    }
    const added = [precision * difference, precision, baseline.count + canary.count];
    added.push(baseline.sum + canary.sum, baseline.sumSquares + canary.sumSquares);
    for (const [i, value] of added.entries()) this.#sums[i] = (this.#sums[i] ?? 0) + value;
  }

  /** Natural logarithm of the e-value. */
  get logEvidence(): number {
    return logWeightedSum([logWeightedSum(this.#logs, WEIGHTS), this.#byValue.logEvidence], HALVES);
  }

  /** Mean difference, canary minus baseline; 0 without data. */
  get difference(): number {
    const [weighted = 0, precision = 0] = this.#sums;
    return precision === 0 ? 0 : weighted / precision;
  }

  /** Covers the mean difference at all times at once with probability 1 − alpha (Hoeffding's bound, normal mixture). */
  interval(alpha: number): Interval {
    const precision = this.#sums[1] ?? 0;
    if (precision === 0) return { low: -1, high: 1 };
    const radius = MIXTURE.bound(precision / 4, Math.log(1 / alpha)) / precision;
    return { low: Math.max(-1, this.difference - radius), high: Math.min(1, this.difference + radius) };
  }

  #variance(): number {
    const [, , count = 0, sum = 0, sumSquares = 0] = this.#sums;
    const mean = (sum + 0.5) / (count + 1);
    return Math.max(1e-6, (0.25 + sumSquares - 2 * mean * sum + count * mean * mean) / (count + 1));
  }
}
