/** A weighted sample as ascending distinct values. */
export interface WeightedValues {
  readonly values: readonly number[];
  readonly weights: readonly number[];
}

/**
 * A mergeable summary of a distribution: at most `capacity` weighted values, exact until there are more distinct ones.
 * Then neighbours are merged into their weighted mean, which moves a rank by at most two parts in the capacity, and however
 * often it is done, to neither side. What it holds depends on the values alone, never on chance.
 */
export class Sketch {
  readonly #capacity: number;
  #values: number[];
  #weights: number[];

  constructor(capacity: number, held: WeightedValues = { values: [], weights: [] }) {
    this.#capacity = capacity;
    this.#values = [...held.values];
    this.#weights = [...held.weights];
  }

  /** What it holds, to go on from. */
  get held(): WeightedValues {
    return { values: this.#values, weights: this.#weights };
  }

  get total(): number {
    return this.#weights.reduce((sum, weight) => sum + weight, 0);
  }

  /** Adds ascending values, `weights[i]` times each. */
  add({ values, weights }: WeightedValues): void {
    const merged = mergeAscending(this.held, { values, weights });
    this.#values = merged.values;
    this.#weights = merged.weights;
    if (this.#values.length > this.#capacity) this.#compact();
  }

  /** Scales all weights: forgets the past in part. */
  scale(factor: number): void {
    this.#weights = this.#weights.map((weight) => weight * factor);
  }

  /** The smallest value with at least `part` of the weight at or below it; NaN when empty. */
  quantile(part: number): number {
    const wanted = part * this.total;
    let below = 0;
    for (const [i, value] of this.#values.entries()) {
      below += this.#weights[i] ?? 0;
      if (below >= wanted) return value;
    }
    return this.#values.at(-1) ?? Number.NaN;
  }

  /** The next smaller value than that quantile: what lies between them may have been counted as the larger. */
  below(part: number): number {
    return this.#values[this.#values.indexOf(this.quantile(part)) - 1] ?? Number.NEGATIVE_INFINITY;
  }

  /** What ranks may be off by. */
  get error(): number {
    return 2 / this.#capacity;
  }

  /** Merges neighbours into parts of even weight, half as many as fit. */
  #compact(): void {
    const part = (2 * this.total) / this.#capacity;
    const values: number[] = [];
    const weights: number[] = [];
    let gathered = 0;
    for (const [i, value] of this.#values.entries()) {
      const weight = this.#weights[i] ?? 0;
      if (gathered > 0 && gathered + weight <= part) {
        const last = values[values.length - 1] ?? value;
        gathered += weight;
        values[values.length - 1] = last === value ? value : last + ((value - last) * weight) / gathered;
        weights[weights.length - 1] = gathered;
        continue;
      }
      values.push(value);
      weights.push(weight);
      gathered = weight;
    }
    this.#values = values;
    this.#weights = weights;
  }
}

function mergeAscending(a: WeightedValues, b: WeightedValues): { values: number[]; weights: number[] } {
  const values: number[] = [];
  const weights: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.values.length || j < b.values.length) {
    const left = a.values[i] ?? Infinity;
    const right = b.values[j] ?? Infinity;
    const value = Math.min(left, right);
    let weight = 0;
    if (i < a.values.length && left === value) weight += a.weights[i++] ?? 0;
    if (j < b.values.length && right === value) weight += b.weights[j++] ?? 0;
    values.push(value);
    weights.push(weight);
  }
  return { values, weights };
}
