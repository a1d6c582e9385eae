import type { Arena } from "./arena.ts";

const LAST = 0;
const INTERVAL = 1;
const SEEN = 2;
/** How fast the interval follows, as a share of itself a point. */
const FOLLOW = 0.05;

/** Learns the usual distance between points, whatever the clock does. */
export class Cadence {
  readonly #memory: Float64Array;

  constructor(arena: Arena) {
    this.#memory = arena.take(3);
  }

  /** Usual seconds between points; 0 until two points were seen. */
  get intervalSeconds(): number {
    return this.#memory[INTERVAL] ?? 0;
  }

  /** Takes in a point's time; says how many usual intervals it is after the last, at least 1. */
  advance(epochSeconds: number): number {
    const memory = this.#memory;
    const [last = 0, interval = 0, seen = 0] = memory;
    const step = epochSeconds - last;
    memory[LAST] = epochSeconds;
    memory[SEEN] = seen + 1;
    // A clock that stood still or was set back says nothing about the distance.
    if (seen === 0 || !(step > 0)) return 1;
    memory[INTERVAL] = interval === 0 ? step : followMedian(interval, step);
    return interval === 0 ? 1 : Math.max(1, Math.round(step / interval));
  }
}

/** A step towards `value` that does not grow with its distance: settles at the median. */
function followMedian(median: number, value: number): number {
  const move = FOLLOW * median;
  return Math.abs(value - median) <= move ? value : median + Math.sign(value - median) * move;
}
