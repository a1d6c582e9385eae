import type { Arena } from "./arena.ts";

/** The newest values, oldest forgotten first. */
export class History {
  /** Every value twice, `size` apart, so that the newest values always lie in one piece. */
  readonly #ring: Float64Array;
  readonly #head: Float64Array;
  readonly #size: number;

  constructor(arena: Arena, size: number) {
    this.#size = size;
    this.#ring = arena.take(2 * size);
    this.#head = arena.take(1);
  }

  /** How many values are there. */
  get length(): number {
    return Math.min(this.total, this.#size);
  }

  /** How many there ever were. */
  get total(): number {
    return this.#head[0] ?? 0;
  }

  /** The value `age` points ago; 1 is the newest. Ages beyond `length` are not to be asked for. */
  back(age: number): number {
    return this.#ring[(this.total % this.#size) + this.#size - age] ?? 0;
  }

  push(value: number): void {
    const at = this.total % this.#size;
    this.#ring[at] = value;
    this.#ring[at + this.#size] = value;
    this.#head[0] = this.total + 1;
  }

  /** All values, oldest first; a view that the next `push` changes. */
  values(): Float64Array {
    const end = (this.total % this.#size) + this.#size;
    return this.#ring.subarray(end - this.length, end);
  }
}
