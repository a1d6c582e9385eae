/** No score: the node does not fit. */
export const UNFIT = Number.NEGATIVE_INFINITY;

/**
 * The best of many scores, kept while single scores change: a binary tree of matches in two flat arrays. Best in O(1), a
 * change in O(log n). Equal scores: the one that comes before in a given order.
 */
export class Tournament {
  readonly #size: number;
  readonly #scores: Float64Array;
  readonly #isBefore: (a: number, b: number) => boolean;
  /** #winners[i] is the slot that wins below inner node i; leaves are left out. −1: nobody. */
  readonly #winners: Int32Array;

  /** @param capacity most slots; rounded up to a power of two, at least 2. */
  constructor(capacity: number, isBefore: (a: number, b: number) => boolean) {
    this.#size = 2 ** Math.max(1, Math.ceil(Math.log2(Math.max(2, capacity))));
    this.#scores = new Float64Array(this.#size).fill(UNFIT);
    this.#winners = new Int32Array(this.#size).fill(-1);
    this.#isBefore = isBefore;
  }

  get capacity(): number {
    return this.#size;
  }

  /** The best slot, or −1 when none fits. */
  get best(): number {
    return this.#winners[1] ?? -1;
  }

  scoreOf(slot: number): number {
    return this.#scores[slot] ?? UNFIT;
  }

  /** Sets all scores at once: O(n). */
  fill(scoreOf: (slot: number) => number, slots: Iterable<number>): void {
    this.#scores.fill(UNFIT);
    for (const slot of slots) this.#scores[slot] = scoreOf(slot);
    for (let i = this.#size - 1; i >= 1; i--) this.#winners[i] = this.#match(i);
  }

  set(slot: number, score: number): void {
    if (this.#scores[slot] === score) return;
    this.#scores[slot] = score;
    for (let i = (slot + this.#size) >> 1; i >= 1; i >>= 1) {
      const winner = this.#match(i);
      // Another slot won here before and wins still: nothing above changes either.
      if (winner === this.#winners[i] && winner !== slot) return;
      this.#winners[i] = winner;
    }
  }

  #match(i: number): number {
    const [a, b] = [this.#entrant(2 * i), this.#entrant(2 * i + 1)];
    if (a < 0 || b < 0) return Math.max(a, b);
    const [aScore, bScore] = [this.scoreOf(a), this.scoreOf(b)];
    if (aScore !== bScore) return aScore > bScore ? a : b;
    return this.#isBefore(b, a) ? b : a;
  }

  #entrant(i: number): number {
    if (i < this.#size) return this.#winners[i] ?? -1;
    return this.scoreOf(i - this.#size) === UNFIT ? -1 : i - this.#size;
  }
}
