import { Packing, valueForPrice } from "./knapsack-packing.ts";
import type { CompiledKnapsack, Item } from "./knapsack-problem.ts";
import { at, isWithin } from "./knapsack-vector.ts";

/** How steeply a price rises as its resource runs out. No exponent is best on all problems. */
const EXPONENTS = [1, 1.5, 2, 3, 4];
/** Keeps prices finite, so that no price times nothing becomes NaN. */
const MAX_PRICE = 1e200;

/** The best of the greedy packings with each exponent, the first among equals. See `greedyKnapsack`. */
export function packGreedily(problem: CompiledKnapsack): Packing {
  const shapes = shapesOf(problem.items);
  const packings = EXPONENTS.map((exponent) => packByScarcity(problem, shapes, exponent));
  return packings.reduce((best, packing) => (packing.value() > best.value() ? packing : best));
}

/** Items that ask for the same, most valuable first: no later one is ever bought before an earlier one. */
function shapesOf(items: readonly Item[]): Item[][] {
  const shapes = new Map<string, Item[]>();
  for (const item of items) {
    const shape = item.asks.join();
    const alike = shapes.get(shape);
    if (alike === undefined) shapes.set(shape, [item]);
    else alike.push(item);
  }
  return [...shapes.values()].map((alike) => alike.sort((a, b) => b.value - a.value || a.index - b.index));
}

/** What can still be bought, by shape. */
interface Shelf {
  readonly shapes: readonly Item[][];
  /** How many of each shape are bought. */
  readonly bought: Uint32Array;
  /** What the ratio of the next item of each shape is at most; -1 if there is none that fits. */
  readonly bounds: Float64Array;
}

function packByScarcity(problem: CompiledKnapsack, shapes: readonly Item[][], exponent: number): Packing {
  const packing = new Packing(problem);
  const bounds = new Float64Array(shapes.length).fill(Number.POSITIVE_INFINITY);
  const shelf: Shelf = { shapes, bought: new Uint32Array(shapes.length), bounds };
  for (;;) {
    const item = buyBest(shelf, packing.left, scarcityPrices(packing, exponent));
    if (item === undefined) return packing;
    packing.flip(item);
  }
}

/**
 * The item with the most value for its price, the lower index among equals. As prices only rise, the last ratio of a
 * shape bounds its next one, and most need no look (Minoux 1978, Accelerated greedy algorithms).
 */
function buyBest(shelf: Shelf, left: Float64Array, prices: Float64Array): Item | undefined {
  const { bounds, bought } = shelf;
  let best: Item | undefined;
  let bestShape = 0;
  let bestRatio = 0;
  for (let shape = 0; shape < bounds.length; shape++) {
    if (at(bounds, shape) < bestRatio) continue;
    const item = shelf.shapes[shape]?.[bought[shape] ?? 0];
    const ratio = item !== undefined && isWithin(item.asks, left) ? valueForPrice(item, prices) : -1;
    bounds[shape] = ratio;
    if (item === undefined || ratio < bestRatio) continue;
    if (best !== undefined && ratio === bestRatio && best.index < item.index) continue;
    best = item;
    bestShape = shape;
    bestRatio = ratio;
  }
  if (best !== undefined) bought[bestShape] = (bought[bestShape] ?? 0) + 1;
  return best;
}

function scarcityPrices({ problem, left }: Packing, exponent: number): Float64Array {
  return problem.capacities.map((capacity, i) => {
    const price = (at(problem.overloads, i) / capacity) * (capacity / at(left, i)) ** exponent;
    return Math.min(MAX_PRICE, price);
  });
}
