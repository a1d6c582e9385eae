import { type CompiledKnapsack, type Item, refuse } from "./knapsack-problem.ts";
import { addTo, at, dot, isWithin } from "./knapsack-vector.ts";

/** Of a capacity: what sums of fractions may be off by. */
const ROUNDING = 1e-9;

/** A choice of items and what it leaves of each resource. Changed in place. */
export class Packing {
  readonly problem: CompiledKnapsack;
  readonly left: Float64Array;
  readonly #chosen: Uint8Array;
  #count = 0;

  /** Nothing is chosen. */
  constructor(problem: CompiledKnapsack) {
    this.problem = problem;
    this.left = problem.capacities.slice();
    this.#chosen = new Uint8Array(problem.items.length);
  }

  copy(): Packing {
    const copy = new Packing(this.problem);
    copy.left.set(this.left);
    copy.#chosen.set(this.#chosen);
    copy.#count = this.#count;
    return copy;
  }

  /** How many items are chosen. */
  get count(): number {
    return this.#count;
  }

  has(item: Item): boolean {
    return this.#chosen[item.place] === 1;
  }

  /** Takes the item out if it is in, in otherwise; does not ask whether it fits. */
  flip(item: Item): void {
    const wasIn = this.has(item);
    addTo(this.left, wasIn ? item.asks : item.gives);
    this.#chosen[item.place] = wasIn ? 0 : 1;
    this.#count += wasIn ? -1 : 1;
  }

  /** Takes in what fits, in this order. */
  fill(ranking: readonly Item[], except?: Item): void {
    for (const item of ranking) {
      if (item !== except && !this.has(item) && isWithin(item.asks, this.left)) this.flip(item);
    }
  }

  /** What the chosen items are worth, summed by index: the same choice has the same value whatever led to it. */
  value(): number {
    return this.problem.items.reduce((sum, item) => (this.has(item) ? sum + item.value : sum), 0);
  }

  /** Indices of the chosen items in the problem, ascending. */
  indices(): number[] {
    return this.problem.items.filter((item) => this.has(item)).map(({ index }) => index);
  }
}

/**
 * The packing of these items.
 *
 * @throws KedgeError INVALID_FIELD if one cannot be in it, is named twice, or they exceed a capacity by more than
 * rounding
 */
export function packChosen(problem: CompiledKnapsack, chosen: readonly number[]): Packing {
  const packing = new Packing(problem);
  const byIndex = new Map(problem.items.map((item) => [item.index, item]));
  for (const [i, index] of chosen.entries()) {
    const item = byIndex.get(index);
    if (item === undefined) refuse(`chosen[${i}]`, `is ${index}, which is no item that fits`);
    if (packing.has(item)) refuse(`chosen[${i}]`, `is ${index} once more`);
    packing.flip(item);
  }
  for (const [i, capacity] of problem.capacities.entries()) {
    if (at(packing.left, i) < -ROUNDING * capacity) refuse("chosen", `asks for more than the capacity of ${capacity}`);
    packing.left[i] = Math.max(0, at(packing.left, i));
  }
  return packing;
}

/** Value for what the item costs at these prices, one per resource; Infinity if it costs nothing and has value. */
export function valueForPrice({ value, asks }: Item, prices: Float64Array): number {
  const price = dot(asks, prices);
  if (price > 0) return value / price;
  return value > 0 ? Number.POSITIVE_INFINITY : 0;
}
