import type { Arena } from "./arena.ts";

/** Turns a counter into its rate a second. A fall is a reset: the counter is taken to have started again at zero. */
export class CounterRate {
  /** Whether there was a point, its time and value. */
  readonly #last: Float64Array;

  constructor(arena: Arena) {
    this.#last = arena.take(3);
  }

  /** Mean rate since the last point; undefined for the first, and when time did not advance. */
  update(epochSeconds: number, value: number): number | undefined {
    const [seen = 0, time = 0, count = 0] = this.#last;
    if (seen > 0 && epochSeconds <= time) return undefined;
    this.#last.set([1, epochSeconds, value]);
    if (seen === 0) return undefined;
    return (value < count ? value : value - count) / (epochSeconds - time);
  }
}
