import { logSum } from "../evidence/log-mean.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/**
 * Wealth spread over the e-processes of several metrics: Σ part × e-value, itself an e-process for "the canary is worse
 * on none", so the chance that it ever reaches 1/α is at most α, however many metrics there are.
 *
 * A metric joins when its unlabelled data could first tell the arms apart, and then takes its share of the wealth there
 * is: shares of metrics that never come, or cannot differ (no request ever failed), are not wasted. Who joins when
 * depends on unlabelled data alone, and nothing is won or lost by moving wealth, so the sum stays an e-process.
 */
export class Portfolio {
  readonly #shares: readonly number[];
  /** Logarithm of what is in each metric, −Infinity before it joins. The wealth is part × e-value of each. */
  #logParts: Float64Array;

  /** `shares` by metric, relative to each other, each above 0. */
  constructor(shares: readonly number[]) {
    this.#shares = shares;
    this.#logParts = new Float64Array(shares.length).fill(Number.NEGATIVE_INFINITY);
  }

  hasJoined(metric: number): boolean {
    return (this.#logParts[metric] ?? Number.NEGATIVE_INFINITY) > Number.NEGATIVE_INFINITY;
  }

  /**
   * Lets a metric in, at e-value 1 for its data so far; `logs` are all metrics' e-values before the stratum that it
   * joins with. Again: nothing.
   */
  join(metric: number, logs: readonly number[]): void {
    if (this.hasJoined(metric)) return;
    const total = this.#shares.reduce((sum, share, i) => sum + (this.hasJoined(i) ? share : 0), 0);
    const share = this.#shares[metric] ?? 0;
    const moved = share / (total + share);
    const logTaken = Math.log(moved) + this.logWealth(logs);
    this.#logParts = this.#logParts.map((part) => part + Math.log1p(-moved));
    this.#logParts[metric] = logTaken - (logs[metric] ?? 0);
  }

  /** Natural logarithm of the wealth; 0 before any metric joined. */
  logWealth(logs: readonly number[]): number {
    const parts = logs.map((_, i) => this.logPart(i, logs));
    const log = logSum(parts);
    return Number.isFinite(log) ? log : 0;
  }

  /** Natural logarithm of a metric's part of the wealth; −Infinity before it joined. */
  logPart(metric: number, logs: readonly number[]): number {
    return (this.#logParts[metric] ?? Number.NEGATIVE_INFINITY) + (logs[metric] ?? 0);
  }

  save(out: StateWriter): void {
    out.numbers(this.#logParts);
  }

  load(from: StateReader): void {
    this.#logParts = from.numbers(this.#shares.length);
  }
}
