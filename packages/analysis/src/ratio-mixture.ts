/**
 * Evidence that errors come from the canary more often than its share of traffic allows, from errors alone.
 *
 * Each request goes to the canary with known probability w; given an error, it is the canary's with probability
 * θ(r) = w·r / (w·r + 1 − w), where r is the ratio of the arms' error rates. Whatever the base rate does, the
 * likelihood ratio of θ(r) against θ(r0) is an e-process for "the ratio is r0", and, since it only grows with canary
 * errors for r > r0, for every ratio below r0 too (r < r0: above). An equal mixture over several r stays one.
 * Source: Lindon and Malek, NeurIPS 2022 (counts with arbitrary common intensity); mixture over a grid of ratios.
 */
export class RatioMixture {
  readonly #nullRatio: number;
  readonly #ratios: readonly number[];
  readonly #logs: Float64Array;

  /** `ratios` all on one side of `nullRatio`; `logs`, one for each ratio, go on from an earlier mixture. */
  constructor(nullRatio: number, ratios: readonly number[], logs?: Float64Array) {
    this.#nullRatio = nullRatio;
    this.#ratios = ratios;
    this.#logs = logs ?? new Float64Array(ratios.length);
  }

  /** Adds the errors of one window with canary share `weight`, strictly between 0 and 1. */
  add(canaryErrors: number, baselineErrors: number, weight: number): void {
    for (const [i, ratio] of this.#ratios.entries()) {
      // θ(r)/θ(r0) and (1 − θ(r))/(1 − θ(r0)), simplified so that nothing cancels near w = 0 or 1.
      const ifBaseline = Math.log((weight * this.#nullRatio + 1 - weight) / (weight * ratio + 1 - weight));
      const ifCanary = Math.log(ratio / this.#nullRatio) + ifBaseline;
      this.#logs[i] = (this.#logs[i] ?? 0) + canaryErrors * ifCanary + baselineErrors * ifBaseline;
    }
  }

  /** Natural logarithm of the e-value. */
  get logEvidence(): number {
    const highest = this.#logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const sum = this.#logs.reduce((total, log) => total + Math.exp(log - highest), 0);
    return highest + Math.log(sum / this.#logs.length);
  }

  /** The logarithms by ratio, to go on from. */
  get logs(): Float64Array {
    return this.#logs.slice();
  }
}

/** `count` numbers from `low` to `high`, evenly spaced on a logarithmic scale. */
export function logSpaced(low: number, high: number, count: number): number[] {
  const step = Math.log(high / low) / (count - 1);
  return Array.from({ length: count }, (_, i) => low * Math.exp(step * i));
}
