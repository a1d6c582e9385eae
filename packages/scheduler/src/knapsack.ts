import { packGreedily } from "./knapsack-greedy.ts";
import { packChosen } from "./knapsack-packing.ts";
import { compileKnapsack, type KnapsackProblem, refuse } from "./knapsack-problem.ts";
import { type Budget, swap } from "./knapsack-swaps.ts";

export type { KnapsackProblem } from "./knapsack-problem.ts";

const DEFAULT_MAX_EVALUATIONS = 1_000_000;

/** How much work the swap pass may do. */
export interface SwapOptions {
  /**
   * Exchanges it tries at most, 1,000,000 by default; 0 only fills up. Unlike a time limit it gives the same answer on
   * every machine.
   */
  readonly maxEvaluations?: number;
}

/**
 * Chooses items that are worth much together and fit all capacities: `greedyKnapsack`, then `improveBySwaps`.
 *
 * Pure and deterministic; among equals the lower index is first, and the order of the resources does not matter. The
 * choice never exceeds a capacity (exact for integers up to 2^53, up to rounding for fractions), and nothing that is
 * left out still fits. Mean gap to the LP bound on Chu-Beasley instances: 0.63 % (`bench/knapsack.mjs`). Cost: see the
 * parts.
 *
 * @returns indices of the chosen items, ascending
 * @throws KedgeError INVALID_FIELD naming the field: a row of another length, NaN, a negative or infinite amount
 */
export function solveKnapsack(problem: KnapsackProblem, options: SwapOptions = {}): number[] {
  return swap(packGreedily(compileKnapsack(problem)), budgetOf(options)).indices();
}

/**
 * Takes the item with the most value for its price until none fits. A resource costs overload / capacity × (capacity /
 * left)^e: the overload is how much more is asked of it than there is, the rest the scarcity of what is left, priced
 * anew after each pick. The best of five runs (e = 1, 1.5, 2, 3, 4) counts.
 *
 * Prices by overload are those of Senju and Toyoda (1968, Management Science 15(4)), by what is used up of Toyoda
 * (1975, Management Science 21(12)); by what is left, the gap is a third of Toyoda's: 1.1 % to the LP bound on
 * Chu-Beasley instances (`bench/knapsack.mjs`).
 *
 * Cost with n items in s shapes (what they ask for) and m resources: O(n·s) comparisons and at worst m times as many
 * operations, in practice far fewer, as the last ratio of a shape bounds its next one. Under a second for 5,000 items,
 * all of different shapes, and 30 resources.
 *
 * @returns indices of the chosen items, ascending; maximal and deterministic as `solveKnapsack`
 * @throws KedgeError INVALID_FIELD as `solveKnapsack`
 */
export function greedyKnapsack(problem: KnapsackProblem): number[] {
  return packGreedily(compileKnapsack(problem)).indices();
}

/**
 * Makes a choice better: fills up, then exchanges one item for one, one for two or two for one, the best exchange
 * first, while the value rises. Then it forces single items and pairs to the other side, repairs, exchanges again, and
 * keeps what is better (iterated local search: Lourenço, Martin and Stützle 2003, Handbook of Metaheuristics). Never
 * worth less than what it was given.
 *
 * Only items near the border take part: of the chosen the 32 with the least value for their price, of the others the 32
 * with the most, at the prices of the Lagrangean dual (Pirkul 1987, Naval Research Logistics 34). Puchinger, Raidl and
 * Pferschy (2010, INFORMS Journal on Computing 22(2)) show that little is decided outside of such a core.
 *
 * Cost with n items and m resources: 100·n·m for the prices, O(n·m) and at most 33,000 evaluations of up to m terms for
 * an exchange, `maxEvaluations` of them in all (it stops after the exchange that exceeds it).
 *
 * @param chosen indices of items that fit together, in any order
 * @returns indices of the chosen items, ascending; maximal and deterministic as `solveKnapsack`
 * @throws KedgeError INVALID_FIELD as `solveKnapsack`, and if `chosen` names an item that is not there, names one
 * twice, or exceeds a capacity
 */
export function improveBySwaps(
  problem: KnapsackProblem,
  chosen: readonly number[],
  options: SwapOptions = {},
): number[] {
  return swap(packChosen(compileKnapsack(problem), chosen), budgetOf(options)).indices();
}

function budgetOf({ maxEvaluations = DEFAULT_MAX_EVALUATIONS }: SwapOptions): Budget {
  if (!(maxEvaluations >= 0)) refuse("maxEvaluations", `is ${maxEvaluations}, not a number of at least 0`);
  return { evaluations: maxEvaluations };
}
