import type { Arena } from "./arena.ts";
import type { History } from "./history.ts";
import { dominantPeriod } from "./period.ts";
import { SeasonalProfile } from "./seasonal-profile.ts";

const DAY_SECONDS = 86_400;
/** How fast each level follows the values; the slowest is the reference that shifts are measured against. */
const RATES = [0.7, 0.15, 0.02, 0.002];
/** No base, time of day, time of week, one period of points ago. */
const BASES = 4;
const EXPERTS = BASES * RATES.length;
const LOSS_RATE = 0.01;
/** A level moves by no more than this many usual misses at once. */
const MAX_STEP = 4;
/** How sharply the better experts are preferred. */
const PREFERENCE = 6;
const PERIOD_EVERY = 128;
const NEWCOMER = 10;
/** Points for which an expert with a season is not heard: neighbouring points are alike, so luck lasts. */
const AUDITION = 24;
/** An expert is believed when it missed no more than so many times as much as the best. */
const CREDIBLE = 1.3;
const TINY = 1e-300;

/** What is expected of a value. */
export interface Forecast {
  readonly expected: number;
  /** Lowest and highest of what the experts say that missed hardly more than the best lately. */
  readonly low: number;
  readonly high: number;
  /** What the slowest level of the best season expects: shifts are measured against it. */
  readonly reference: number;
  /** Root mean square distance of values from the reference. */
  readonly referenceScale: number;
  /** 1 when nobody forecasts better than the reference; near 0 when values wander, and stay where they went. */
  readonly steadiness: number;
}

/**
 * Forecast of the next value by a panel of simple experts: each takes one kind of season (none, time of day, time of
 * week, one detected period ago) and a level of what the season leaves, followed at one of four rates. They are mixed by
 * how little they missed lately (the exponentially weighted forecaster of Cesa-Bianchi and Lugosi 2006, ch. 2, with a
 * fading loss), so that a series without a season pays nothing for those that look for one.
 */
export class Forecaster {
  readonly #levels: Float64Array;
  readonly #losses: Float64Array;
  readonly #counts: Float64Array;
  readonly #period: Float64Array;
  readonly #day: SeasonalProfile;
  readonly #week: SeasonalProfile;
  readonly #history: History;
  readonly #scratch = new Float64Array(BASES);

  constructor(arena: Arena, history: History) {
    this.#levels = arena.take(EXPERTS);
    this.#losses = arena.take(EXPERTS);
    this.#counts = arena.take(EXPERTS);
    this.#period = arena.take(1);
    this.#day = new SeasonalProfile(arena, DAY_SECONDS, 288);
    this.#week = new SeasonalProfile(arena, 7 * DAY_SECONDS, 168);
    this.#history = history;
  }

  /** Points after which the values repeat; 0 when they do not. */
  get period(): number {
    return this.#period[0] ?? 0;
  }

  /** What to expect at this time; undefined before the third value. */
  forecast(epochSeconds: number): Forecast | undefined {
    const bases = this.#bases(epochSeconds);
    const losses = this.#losses.map((_, expert) => this.#loss(expert, bases));
    const least = Math.min(...losses);
    if (!Number.isFinite(least)) return undefined;
    let expected = 0;
    let weights = 0;
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    let slowest = RATES.length - 1;
    for (const [expert, loss] of losses.entries()) {
      if (loss === Number.POSITIVE_INFINITY) continue;
      const weight = ((least + TINY) / (loss + TINY)) ** PREFERENCE;
      const says = this.#says(expert, bases);
      if (loss <= CREDIBLE * least) {
        low = Math.min(low, says);
        high = Math.max(high, says);
      }
      expected += weight * says;
      weights += weight;
      if (expert % RATES.length === RATES.length - 1 && loss < (losses[slowest] ?? 0)) slowest = expert;
    }
    return {
      expected: expected / weights,
      low,
      high,
      reference: this.#says(slowest, bases),
      referenceScale: losses[slowest] ?? 0,
      steadiness: (least + TINY) / ((losses[slowest] ?? 0) + TINY),
    };
  }

  learn(epochSeconds: number, value: number, intervalSeconds: number): void {
    const bases = this.#bases(epochSeconds);
    for (let i = 0; i < EXPERTS; i++) this.#learnExpert(i, value - (bases[Math.floor(i / RATES.length)] ?? 0));
    if (intervalSeconds > 0 && intervalSeconds < DAY_SECONDS / 2) {
      this.#day.learn(epochSeconds, value, intervalSeconds, this.#limit(1));
      this.#week.learn(epochSeconds, value, intervalSeconds, this.#limit(2));
    }
    if (this.#history.total % PERIOD_EVERY === PERIOD_EVERY - 1)
      this.#period[0] = dominantPeriod(this.#history.values());
  }

  /** How far off a value may be for a season to follow it: in the spread of its slowest expert. */
  #limit(base: number): number {
    return MAX_STEP * Math.sqrt(this.#losses[(base + 1) * RATES.length - 1] ?? 0) || Number.POSITIVE_INFINITY;
  }

  #learnExpert(index: number, rest: number): void {
    if (Number.isNaN(rest)) return;
    const count = (this.#counts[index] ?? 0) + 1;
    this.#counts[index] = Math.min(count, 1e6);
    const rate = Math.max(RATES[index % RATES.length] ?? 1, 1 / count);
    const miss = rest - (this.#levels[index] ?? 0);
    const loss = this.#losses[index] ?? 0;
    const limit = count < 10 || loss === 0 ? Number.POSITIVE_INFINITY : MAX_STEP * Math.sqrt(loss);
    this.#levels[index] = (this.#levels[index] ?? 0) + rate * Math.min(limit, Math.max(-limit, miss));
    if (count > 1)
      this.#losses[index] = loss + Math.max(LOSS_RATE, 1 / count) * (Math.min(2 * limit, Math.abs(miss)) ** 2 - loss);
  }

  #says(expert: number, bases: Float64Array): number {
    return (bases[Math.floor(expert / RATES.length)] ?? 0) + (this.#levels[expert] ?? 0);
  }

  /** What the expert missed by lately, more when it is new; infinite when it has nothing to say. */
  #loss(expert: number, bases: Float64Array): number {
    const count = this.#counts[expert] ?? 0;
    const audition = expert < RATES.length ? 2 : AUDITION;
    if (count < audition || Number.isNaN(bases[Math.floor(expert / RATES.length)] ?? 0))
      return Number.POSITIVE_INFINITY;
    return Math.sqrt(this.#losses[expert] ?? 0) * (1 + NEWCOMER / count);
  }

  /** Median of the values one, two and three periods ago, so that one odd period has no echo. */
  #periodBase(): number {
    const { period } = this;
    const history = this.#history;
    if (period === 0 || period > history.length) return Number.NaN;
    const last = history.back(period);
    if (3 * period > history.length) return last;
    const [second, third] = [history.back(2 * period), history.back(3 * period)];
    return Math.max(Math.min(last, second), Math.min(Math.max(last, second), third));
  }

  #bases(epochSeconds: number): Float64Array {
    const bases = this.#scratch;
    bases[0] = 0;
    bases[1] = this.#day.expect(epochSeconds);
    bases[2] = this.#week.expect(epochSeconds);
    bases[3] = this.#periodBase();
    return bases;
  }
}
