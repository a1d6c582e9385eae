import { isKedgeError } from "@kedge/domain";
import { expect, test } from "vitest";
import { greedyKnapsack, improveBySwaps, type KnapsackProblem, solveKnapsack } from "./knapsack.ts";

test("takes the more valuable of two items that do not fit together", () => {
  expect(solveKnapsack({ values: [3, 5], weights: [[4, 4]], capacities: [7] })).toEqual([1]);
});

test("takes everything where everything fits", () => {
  const values = [1, 0, 2];
  expect(solveKnapsack({ values, weights: [[1, 2, 3]], capacities: [6] })).toEqual([0, 1, 2]);
  expect(solveKnapsack({ values, weights: [[1, 2, 3]], capacities: [Number.POSITIVE_INFINITY] })).toEqual([0, 1, 2]);
  expect(solveKnapsack({ values, weights: [], capacities: [] })).toEqual([0, 1, 2]);
  expect(solveKnapsack({ values: [], weights: [[]], capacities: [1] })).toEqual([]);
});

test("prices what runs short, not what a fixed share says", () => {
  // All ask for as much in all, but the second resource runs short four times as fast.
  const values = [10, 10, 10, 10, 11, 11];
  const weights = [
    [5, 5, 5, 5, 1, 1],
    [1, 1, 1, 1, 5, 5],
  ];
  expect(greedyKnapsack({ values, weights, capacities: [20, 5] })).toEqual([0, 1, 2, 3]);
});

test("among equals the lower index goes first", () => {
  const equal = { values: [2, 2, 2, 2], weights: [[3, 3, 3, 3]], capacities: [7] };
  expect(greedyKnapsack(equal)).toEqual([0, 1]);
  expect(solveKnapsack(equal)).toEqual([0, 1]);
});

test("among equals of different shapes too, and with the resources in another order", () => {
  const weights = [
    [1, 2, 1, 2],
    [2, 1, 2, 1],
  ];
  expect(greedyKnapsack({ values: [1, 5, 5, 1], weights, capacities: [2, 2] })).toEqual([1]);
  // Both ask for as much, but the sums of the fractions differ with the order.
  const rows = [
    [0.2, 0.4],
    [0.3, 0.3],
    [0.4, 0.2],
  ];
  const capacities = [0.42, 0.42, 0.42];
  const forwards = greedyKnapsack({ values: [1, 1], weights: rows, capacities });
  expect(greedyKnapsack({ values: [1, 1], weights: rows.toReversed(), capacities })).toEqual(forwards);
});

test("items without weight are taken; items that never fit and resources that are not there are not", () => {
  const problem = { values: [1, 1, 9], weights: [[0, 2, 9]], capacities: [2] };
  expect(solveKnapsack(problem)).toEqual([0, 1]);
  expect(solveKnapsack({ ...problem, capacities: [0] })).toEqual([0]);
  expect(solveKnapsack({ ...problem, capacities: [] })).toEqual([0]);
  expect(solveKnapsack({ ...problem, capacities: [2, 5] })).toEqual([0, 1]);
});

test("items without value fill what is left", () => {
  expect(solveKnapsack({ values: [0, 3, 0], weights: [[1, 2, 2]], capacities: [3] })).toEqual([0, 1]);
});

const swapCases: readonly [string, KnapsackProblem, readonly number[], readonly number[]][] = [
  ["one for one", { values: [3, 4], weights: [[5, 5]], capacities: [5] }, [0], [1]],
  ["one for two", { values: [5, 3, 3], weights: [[6, 3, 3]], capacities: [6] }, [0], [1, 2]],
  ["two for one", { values: [3, 3, 7], weights: [[3, 3, 6]], capacities: [6] }, [0, 1], [2]],
  ["nothing for one", { values: [3, 4], weights: [[5, 5]], capacities: [10] }, [0], [0, 1]],
];
test.each(swapCases)("exchanges %s", (_, problem, before, after) => {
  expect(improveBySwaps(problem, before)).toEqual(after);
});

test("without evaluations the swap pass fills up only", () => {
  const problem = { values: [3, 4, 1], weights: [[5, 5, 1]], capacities: [6] };
  expect(improveBySwaps(problem, [0], { maxEvaluations: 0 })).toEqual([0, 2]);
  expect(improveBySwaps(problem, [0])).toEqual([1, 2]);
});

test("thousands of items that ask for the same are no more work than a few", () => {
  const n = 3000;
  const row = Array.from({ length: n }, () => 7);
  const weights = Array.from({ length: 30 }, () => row);
  const values = row.map((_, i) => i);
  const capacities = weights.map(() => 7 * 100);
  expect(solveKnapsack({ values, weights, capacities })).toEqual(Array.from({ length: 100 }, (_, i) => n - 100 + i));
});

const ok: KnapsackProblem = { values: [1, 2], weights: [[1, 1]], capacities: [1] };
const wrongProblems: readonly [string, KnapsackProblem][] = [
  ["values[1]", { ...ok, values: [1, Number.NaN] }],
  ["values[0]", { ...ok, values: [-1, 2] }],
  ["values[0]", { ...ok, values: [Number.POSITIVE_INFINITY, 2] }],
  ["values[1]", { ...ok, values: Object.assign([1], { length: 2 }) }],
  ["weights[0]", { ...ok, weights: [[1]] }],
  ["weights[1]", { ...ok, weights: [[1, 1], []] }],
  ["weights[0][1]", { ...ok, weights: [[1, -1]] }],
  ["weights[0][0]", { ...ok, weights: [[Number.NaN, 1]] }],
  ["weights[0][0]", { ...ok, weights: [[Number.POSITIVE_INFINITY, 1]] }],
  ["capacities[0]", { ...ok, capacities: [-1] }],
  ["capacities[0]", { ...ok, capacities: [Number.NaN] }],
];
test.each(wrongProblems)("refuses a wrong %s and names it", (field, problem) => {
  for (const solve of [solveKnapsack, greedyKnapsack, () => improveBySwaps(problem, [])]) {
    expect(() => solve(problem)).toThrow(refusalOf(field));
  }
});

const wrongChoices: readonly [string, readonly number[]][] = [
  ["chosen[0]", [2]],
  ["chosen[0]", [-1]],
  ["chosen[1]", [0, 0]],
  ["chosen", [0, 1]],
];
test.each(wrongChoices)("refuses a wrong %s of %j", (field, chosen) => {
  expect(() => improveBySwaps(ok, chosen)).toThrow(refusalOf(field));
});

test.each([-1, Number.NaN])("refuses %d evaluations", (maxEvaluations) => {
  expect(() => solveKnapsack(ok, { maxEvaluations })).toThrow(refusalOf("maxEvaluations"));
});

function refusalOf(field: string): object {
  return expect.toSatisfy(
    (error: unknown) =>
      isKedgeError(error, "INVALID_FIELD") && error.field === field && error.message.includes(`${field} `),
  );
}
