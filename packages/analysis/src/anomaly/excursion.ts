import type { Arena } from "./arena.ts";
import { StreamTail } from "./tail.ts";

const PEAK = 0;
const SINCE = 1;
const POINTS = 2;
/** An excursion that goes on is learned as one more event every so many points: it is how things are now. */
const EVENT_POINTS = 256;

/**
 * Tail of a magnitude that builds up over many points and falls back to 0. Only the peak of an excursion is learned,
 * when it is over: its points are one event, and must not get used to themselves (declustering, Ferro and Segers 2003).
 */
export class ExcursionTail {
  readonly #tail: StreamTail;
  readonly #memory: Float64Array;

  constructor(arena: Arena, memory: number) {
    this.#tail = new StreamTail(arena, memory);
    this.#memory = arena.take(3);
  }

  /** When the excursion began that goes on. */
  get since(): number {
    return this.#memory[SINCE] ?? 0;
  }

  /** Surprise at `value`, judged by earlier excursions; then learns, see above. */
  observe(value: number, epochSeconds: number): number {
    const memory = this.#memory;
    const peak = memory[PEAK] ?? 0;
    const surprise = this.#tail.surprise(value);
    if (peak === 0) memory[SINCE] = epochSeconds;
    const points = value === 0 ? 0 : (memory[POINTS] ?? 0) + 1;
    if (value === 0 || points % EVENT_POINTS === 0) this.#tail.learn(peak);
    memory[POINTS] = points;
    memory[PEAK] = value === 0 ? 0 : Math.max(peak, value);
    return surprise;
  }
}
