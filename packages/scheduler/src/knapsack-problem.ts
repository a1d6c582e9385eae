import { KedgeError } from "@kedge/domain";

/** A 0/1 knapsack over several resources. Amounts are in any unit, the same one within a resource. */
export interface KnapsackProblem {
  /** What each item is worth: finite, at least 0. */
  readonly values: readonly number[];
  /** `weights[i][j]`: how much of resource i item j asks for: finite, at least 0; a row has one for every item. */
  readonly weights: readonly (readonly number[])[];
  /** How much there is of each resource, at least 0; Infinity for no limit. A missing one is 0. */
  readonly capacities: readonly number[];
}

/** An item that fits when alone. */
export interface Item {
  /** Its index in the problem. */
  readonly index: number;
  /** Its place in `CompiledKnapsack.items`. */
  readonly place: number;
  readonly value: number;
  /** One amount per resource of `CompiledKnapsack`. */
  readonly asks: Float64Array;
  /** `asks` negated: what it asks less when it leaves. */
  readonly gives: Float64Array;
}

/** What there is to decide: the items that fit at all, by index, and the resources that can run short. */
export interface CompiledKnapsack {
  readonly items: readonly Item[];
  /** Each more than 0. */
  readonly capacities: Float64Array;
  /** What all items together ask beyond each capacity, as a share of it; more than 0. */
  readonly overloads: Float64Array;
  /** Differences of value up to this are rounding. */
  readonly leastGain: number;
}

/**
 * Leaves out items that never fit and resources that cannot run short, and brings the resources into an order that does
 * not depend on the given one, so that rounding does not either.
 *
 * @throws KedgeError INVALID_FIELD naming the field: a row of another length, NaN, a negative or infinite amount
 */
export function compileKnapsack(problem: KnapsackProblem): CompiledKnapsack {
  assertKnapsack(problem);
  const fitting = fittingItems(problem);
  const resources = scarceResources(problem, fitting);
  const items = fitting.map((index, place) => {
    const asks = Float64Array.from(resources, ({ row }) => row[index] ?? 0);
    return { index, place, value: problem.values[index] ?? 0, asks, gives: asks.map((amount) => -amount) };
  });
  return {
    items,
    capacities: Float64Array.from(resources, ({ capacity }) => capacity),
    overloads: Float64Array.from(resources, ({ total, capacity }) => total / capacity - 1),
    leastGain: items.reduce((sum, { value }) => sum + value, 0) * Number.EPSILON,
  };
}

function fittingItems({ values, weights, capacities }: KnapsackProblem): number[] {
  const fits = (item: number): boolean => weights.every((row, i) => (row[item] ?? 0) <= (capacities[i] ?? 0));
  return values.map((_, item) => item).filter(fits);
}

interface ScarceResource {
  readonly row: readonly number[];
  readonly capacity: number;
  /** What the items that fit ask together. */
  readonly total: number;
}

function scarceResources({ weights, capacities }: KnapsackProblem, fitting: readonly number[]): ScarceResource[] {
  const total = (row: readonly number[]): number => fitting.reduce((sum, item) => sum + (row[item] ?? 0), 0);
  return weights
    .map((row, i) => ({ row, capacity: capacities[i] ?? 0, total: total(row) }))
    .filter((resource) => resource.total > resource.capacity)
    .sort((a, b) => a.capacity - b.capacity || compareRows(a.row, b.row));
}

function compareRows(a: readonly number[], b: readonly number[]): number {
  const differing = a.findIndex((amount, i) => amount !== b[i]);
  return (a[differing] ?? 0) - (b[differing] ?? 0);
}

function assertKnapsack({ values, weights, capacities }: KnapsackProblem): void {
  assertAmounts("values", values);
  for (const [i, row] of weights.entries()) {
    const field = `weights[${i}]`;
    if (row.length !== values.length) refuse(field, `has ${row.length} amounts for ${values.length} items`);
    assertAmounts(field, row);
  }
  for (const [i, capacity] of capacities.entries()) {
    if (!(capacity >= 0)) refuse(`capacities[${i}]`, `is ${capacity}, not a number of at least 0`);
  }
}

/** By index, as iteration over a sparse array would skip its holes. */
function assertAmounts(field: string, amounts: readonly number[]): void {
  for (let i = 0; i < amounts.length; i++) {
    const amount = amounts[i] ?? Number.NaN;
    if (!(amount >= 0 && Number.isFinite(amount))) {
      refuse(`${field}[${i}]`, `is ${amounts[i]}, not a finite number of at least 0`);
    }
  }
}

/** @throws KedgeError INVALID_FIELD, always */
export function refuse(field: string, problem: string): never {
  throw new KedgeError("INVALID_FIELD", `knapsack: ${field} ${problem}`, { field });
}
