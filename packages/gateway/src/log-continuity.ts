/** Streams told apart: the frontends of the HAProxy that serves, and of those that a reload or a restart left behind. */
const MOST_STREAMS = 32;
/** As many lines can overtake the first one of a stream; a later 0 is from another process of the same number. */
const MOST_THREADS = 64;

interface Seen {
  lowest: number;
  highest: number;
  lines: number;
}

/**
 * Finds out how many log lines did not arrive. Every frontend of a HAProxy numbers its lines from 0 as
 * it writes them, also those for which the ring has no room, so what is missing between the lowest and the highest
 * number was lost. A full ring refuses new lines and keeps the old, so the lowest one always arrives.
 */
export class LogContinuity {
  readonly #streams = new Map<string, Seen>();
  #lostBefore = 0;

  /**
   * Lines that were written but have not arrived. Threads write side by side, so it can be a few too high for a moment;
   * lines lost at the end of the stream are seen when the next one arrives.
   */
  get lost(): number {
    return [...this.#streams.values()].reduce((sum, seen) => sum + missing(seen), this.#lostBefore);
  }

  /** Takes note of a line that arrived. */
  arrived(stream: string, number: number): void {
    const seen = this.#streams.get(stream);
    if (seen === undefined || (number === 0 && seen.highest > MOST_THREADS)) {
      this.#begin(stream, number);
      return;
    }
    seen.lines++;
    seen.lowest = Math.min(seen.lowest, number);
    seen.highest = Math.max(seen.highest, number);
  }

  #begin(stream: string, number: number): void {
    this.#forget(stream);
    const oldest = this.#streams.keys().next();
    if (this.#streams.size >= MOST_STREAMS && !oldest.done) this.#forget(oldest.value);
    this.#streams.set(stream, { lowest: number, highest: number, lines: 1 });
  }

  #forget(stream: string): void {
    const seen = this.#streams.get(stream);
    if (seen === undefined) return;
    this.#lostBefore += missing(seen);
    this.#streams.delete(stream);
  }
}

function missing({ lowest, highest, lines }: Seen): number {
  return Math.max(0, highest + 1 - lowest - lines);
}
