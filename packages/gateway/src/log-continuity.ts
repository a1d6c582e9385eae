/** HAProxies told apart: the one that serves, and those that a reload or a restart left behind. */
const MOST_PROCESSES = 16;
/** As many lines can overtake the first one of a process; a later 0 is from another process of the same number. */
const MOST_THREADS = 64;

interface Seen {
  lowest: number;
  highest: number;
  lines: number;
}

/**
 * Finds out how many log lines did not arrive. Every HAProxy numbers its lines from 0 as it writes them, also those for
 * which its ring has no room, so what is missing between the lowest and the highest number was lost. A full ring refuses new
 * lines and keeps the old, so the lowest one always arrives.
 */
export class LogContinuity {
  readonly #processes = new Map<number, Seen>();
  #lostBefore = 0;

  /**
   * Lines that were written but have not arrived. Threads write side by side, so it can be a few too high for a moment;
   * lines lost at the end of the stream are seen when the next one arrives.
   */
  get lost(): number {
    return [...this.#processes.values()].reduce((sum, seen) => sum + missing(seen), this.#lostBefore);
  }

  /** Takes note of a line that arrived. */
  arrived(pid: number, number: number): void {
    const seen = this.#processes.get(pid);
    if (seen === undefined || (number === 0 && seen.highest > MOST_THREADS)) {
      this.#begin(pid, number);
      return;
    }
    seen.lines++;
    seen.lowest = Math.min(seen.lowest, number);
    seen.highest = Math.max(seen.highest, number);
  }

  #begin(pid: number, number: number): void {
    this.#forget(pid);
    const oldest = this.#processes.keys().next();
    if (this.#processes.size >= MOST_PROCESSES && !oldest.done) this.#forget(oldest.value);
    this.#processes.set(pid, { lowest: number, highest: number, lines: 1 });
  }

  #forget(pid: number): void {
    const seen = this.#processes.get(pid);
    if (seen === undefined) return;
    this.#lostBefore += missing(seen);
    this.#processes.delete(pid);
  }
}

function missing({ lowest, highest, lines }: Seen): number {
  return Math.max(0, highest + 1 - lowest - lines);
}
