import type { Arena } from "./arena.ts";

/** A round counts at least this much. */
const MIN_RATE = 0.15;
/** Rounds after which a slot no longer takes any value at its word. */
const KNOWN_ROUNDS = 3;

const VISIT = 0;
const VISIT_MEAN = 1;
const VISIT_COUNT = 2;

/** Mean of the values at each time of a day or a week, the newest counting most. Times are of the epoch (UTC). */
export class SeasonalProfile {
  readonly #means: Float64Array;
  /** Rounds seen, by slot. */
  readonly #counts: Float64Array;
  /** The slot being visited, counted from the epoch, and what was known of it before the visit. */
  readonly #visit: Float64Array;
  readonly #slotSeconds: number;

  constructor(arena: Arena, periodSeconds: number, slots: number) {
    this.#means = arena.take(slots);
    this.#counts = arena.take(slots);
    this.#visit = arena.take(3);
    this.#slotSeconds = periodSeconds / slots;
  }

  /** What earlier rounds say of this time; NaN before there was one. */
  expect(epochSeconds: number): number {
    const visit = Math.floor(epochSeconds / this.#slotSeconds);
    const isSame = visit === this.#visit[VISIT];
    const slot = this.#slot(visit);
    const count = (isSame ? this.#visit[VISIT_COUNT] : this.#counts[slot]) ?? 0;
    return count > 0 ? ((isSame ? this.#visit[VISIT_MEAN] : this.#means[slot]) ?? 0) : Number.NaN;
  }

  /** Takes in a value; a slot that is known moves as if it were no more than `limit` off. */
  learn(epochSeconds: number, value: number, intervalSeconds: number, limit: number): void {
    const visit = Math.floor(epochSeconds / this.#slotSeconds);
    const slot = this.#slot(visit);
    const mean = this.#means[slot] ?? 0;
    const before = this.#counts[slot] ?? 0;
    if (visit !== this.#visit[VISIT]) this.#visit.set([visit, mean, before]);
    // Points of the same visit share the weight of one round.
    const share = Math.min(1, intervalSeconds / this.#slotSeconds);
    const count = before + share;
    const step = count < KNOWN_ROUNDS ? value - mean : Math.max(-limit, Math.min(limit, value - mean));
    this.#counts[slot] = count;
    this.#means[slot] = mean + Math.max(share / count, share * MIN_RATE) * step;
  }

  #slot(visit: number): number {
    const slots = this.#means.length;
    return ((visit % slots) + slots) % slots;
  }
}
