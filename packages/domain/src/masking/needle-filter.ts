/** Bytes that are looked at together. */
const BLOCK = 3;
const TABLE_BITS = 16;
const MAX_WINDOW = 24;

/**
 * Says where a needle may begin, looking at few of the bytes: the bad-block table of Wu and Manber, "A fast algorithm
 * for multi-pattern searching" (TR 94-17, University of Arizona, 1994), without its verification. A place that it passes
 * over is the beginning of no needle.
 */
export class NeedleFilter {
  /** How many bytes from a place on decide: as many as the shortest needle has, 24 at most. */
  readonly window: number;
  readonly #shifts: Uint8Array;
  /** Whether a needle begins with two bytes: most places that the table lets through are none by this. */
  readonly #begins = new Uint8Array(1 << 16);

  /** @param needles at least one, none shorter than 3 bytes */
  constructor(needles: readonly Uint8Array[]) {
    this.window = needles.reduce((least, needle) => Math.min(least, needle.length), MAX_WINDOW);
    this.#shifts = new Uint8Array(1 << TABLE_BITS).fill(this.window - BLOCK + 1);
    for (const needle of needles) this.#learn(needle);
  }

  /** The first place from `from` on where a needle may begin; one of the last `window - 1` when nothing else does. */
  next(bytes: Uint8Array, from: number, to: number): number {
    const shifts = this.#shifts;
    const reach = this.window - 1;
    let at = from + reach;
    while (at < to) {
      // In bounds: `at` is less than `to`, and a window is at least a block long.
      const block = hash(bytes[at - 2] as number, bytes[at - 1] as number, bytes[at] as number);
      const shift = shifts[block] as number;
      if (shift > 0) at += shift;
      else if (this.#begins[((bytes[at - reach] as number) << 8) | (bytes[at - reach + 1] as number)] === 1)
        return at - reach;
      else at += 1;
    }
    return Math.max(from, Math.min(at - reach, to));
  }

  #learn(needle: Uint8Array): void {
    this.#begins[((needle[0] ?? 0) << 8) | (needle[1] ?? 0)] = 1;
    for (let end = BLOCK; end <= this.window; end += 1) {
      const block = hash(needle[end - 3] ?? 0, needle[end - 2] ?? 0, needle[end - 1] ?? 0);
      this.#shifts[block] = Math.min(this.#shifts[block] ?? 0, this.window - end);
    }
  }
}

function hash(a: number, b: number, c: number): number {
  return ((a << 10) ^ (b << 5) ^ c ^ (a >> 3)) & ((1 << TABLE_BITS) - 1);
}
