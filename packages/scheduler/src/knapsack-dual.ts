import { valueForPrice } from "./knapsack-packing.ts";
import type { CompiledKnapsack, Item } from "./knapsack-problem.ts";
import { addTo, at, dot } from "./knapsack-vector.ts";

const STEPS = 100;
/** Steps without a better bound after which the stride is halved. */
const PATIENCE = 5;

/**
 * All items, most value for their price first, at the prices of the Lagrangean dual: near the LP's, which Pirkul (1987,
 * Naval Research Logistics 34) ranks by. Ties by lower index.
 *
 * @param reached value of a packing that is known
 */
export function rankByDual(problem: CompiledKnapsack, reached: number): Item[] {
  const prices = dualPrices(problem, reached);
  const ratios = Float64Array.from(problem.items, (item) => valueForPrice(item, prices));
  return problem.items.toSorted((a, b) => at(ratios, b.place) - at(ratios, a.place) || a.index - b.index);
}

/** Prices per unit of each resource, and what they lead to. */
interface Relaxed {
  readonly prices: Float64Array;
  /** No packing is worth more. */
  readonly bound: number;
  /** The share of each capacity that is not sold; negative if it is oversold. */
  readonly slack: Float64Array;
}

/**
 * The prices with the least bound of 100 subgradient steps (Held, Wolfe and Crowder 1974, Mathematical Programming 6).
 * Steps are taken in shares of the capacities, so that units do not matter.
 */
function dualPrices(problem: CompiledKnapsack, reached: number): Float64Array {
  let best = relax(problem, evenPrices(problem));
  let current = best;
  let pace = 1;
  let stalled = 0;
  for (let step = 1; step < STEPS && isUneven(current); step++) {
    current = relax(problem, stepFrom(current, problem, pace * (current.bound - reached)));
    stalled = current.bound < best.bound ? 0 : stalled + 1;
    if (stalled === 0) best = current;
    if (stalled < PATIENCE) continue;
    pace /= 2;
    stalled = 0;
    current = best;
  }
  return best.prices;
}

/** The whole value spread evenly over the resources, and over what is asked of each. */
function evenPrices({ items, capacities, overloads }: CompiledKnapsack): Float64Array {
  const value = items.reduce((sum, item) => sum + item.value, 0);
  return capacities.map((capacity, i) => value / capacities.length / (capacity * (1 + at(overloads, i))));
}

/** Buys every item that is worth its price. */
function relax({ items, capacities }: CompiledKnapsack, prices: Float64Array): Relaxed {
  const left = capacities.slice();
  let bound = dot(capacities, prices);
  for (const { value, asks, gives } of items) {
    const profit = value - dot(asks, prices);
    if (profit <= 0) continue;
    bound += profit;
    addTo(left, gives);
  }
  return { prices, bound, slack: left.map((amount, i) => amount / at(capacities, i)) };
}

function isUneven({ slack }: Relaxed): boolean {
  return slack.some((share) => share !== 0);
}

/** Dearer what is oversold, cheaper what is not sold. */
function stepFrom({ prices, slack }: Relaxed, { capacities }: CompiledKnapsack, stride: number): Float64Array {
  const perShare = stride / dot(slack, slack);
  return prices.map((price, i) => Math.max(0, price - (perShare * at(slack, i)) / at(capacities, i)));
}
