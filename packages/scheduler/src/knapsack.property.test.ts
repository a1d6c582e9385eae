import fc from "fast-check";
import { expect, test } from "vitest";
import { greedyKnapsack, improveBySwaps, type KnapsackProblem, solveKnapsack } from "./knapsack.ts";

interface Shape {
  readonly maxItems: number;
  /** Of amounts; small ones make ties, zeros and exact fits likely. */
  readonly amount: fc.Arbitrary<number>;
}

/** Resources may be missing, scarce or plentiful; items may ask for nothing, be worth nothing or never fit. */
function problems({ maxItems, amount }: Shape): fc.Arbitrary<KnapsackProblem> {
  return fc.tuple(fc.nat(maxItems), fc.nat(5)).chain(([items, resources]) =>
    fc.record({
      values: exactly(items, amount),
      weights: exactly(resources, exactly(items, amount)),
      capacities: fc.array(
        amount.map((capacity) => 3 * capacity),
        { maxLength: resources + 1 },
      ),
    }),
  );
}

function exactly<T>(length: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(arbitrary, { minLength: length, maxLength: length });
}

const integers = problems({ maxItems: 40, amount: fc.oneof(fc.nat(4), fc.nat(100)) });
const fractions = problems({ maxItems: 40, amount: fc.double({ min: 0, max: 10, noNaN: true }) });
/** Tenths: sums that should be equal differ by rounding. */
const tenths = problems({ maxItems: 40, amount: fc.integer({ min: 1, max: 9 }).map((tenth) => tenth / 10) });
const small = problems({ maxItems: 12, amount: fc.nat(20) });

test("never over capacity, no item twice, ascending, and nothing left out still fits", () => {
  fc.assert(
    fc.property(integers, (problem) => {
      for (const chosen of [greedyKnapsack(problem), solveKnapsack(problem)]) {
        expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
        expect(isFeasible(problem, chosen)).toBe(true);
        const others = problem.values.map((_, item) => item).filter((item) => !chosen.includes(item));
        expect(others.filter((item) => isFeasible(problem, [...chosen, item]))).toEqual([]);
      }
    }),
    { numRuns: 300 },
  );
});

test("fractions, also extreme ones, stay within capacity up to rounding", () => {
  fc.assert(
    fc.property(fractions, (problem) => {
      expect(isFeasible(problem, solveKnapsack(problem), 1e-9)).toBe(true);
    }),
  );
});

test("the same problem has the same answer", () => {
  fc.assert(
    fc.property(integers, (problem) => {
      expect(solveKnapsack(structuredClone(problem))).toEqual(solveKnapsack(problem));
    }),
  );
});

test("swaps never make a choice worse, whatever the choice and the budget", () => {
  fc.assert(
    fc.property(integers, fc.integer({ min: 0, max: 2000 }), fc.nat(3), (problem, maxEvaluations, skip) => {
      const greedy = greedyKnapsack(problem);
      for (const start of [greedy, greedy.slice(skip), greedy.toReversed(), []]) {
        const improved = improveBySwaps(problem, start, { maxEvaluations });
        expect(isFeasible(problem, improved)).toBe(true);
        expect(worth(problem, improved)).toBeGreaterThanOrEqual(worth(problem, start));
      }
    }),
  );
});

test("the order of resources does not matter, not even by rounding", () => {
  const shuffled = tenths.chain((problem) => {
    const resources = problem.weights.map((_, i) => i);
    const order = fc.shuffledSubarray(resources, { minLength: resources.length });
    return fc.tuple(fc.constant(problem), order);
  });
  fc.assert(
    fc.property(shuffled, ([problem, order]) => {
      const weights = order.map((i) => problem.weights[i] ?? []);
      const capacities = order.map((i) => problem.capacities[i] ?? 0);
      const permuted = { values: problem.values, weights, capacities };
      expect(greedyKnapsack(permuted)).toEqual(greedyKnapsack(problem));
      expect(solveKnapsack(permuted)).toEqual(solveKnapsack(problem));
    }),
    { numRuns: 300 },
  );
});

test("never above the optimum of brute force", () => {
  fc.assert(
    fc.property(small, (problem) => {
      const optimum = optimumByBruteForce(problem);
      expect(worth(problem, greedyKnapsack(problem))).toBeLessThanOrEqual(optimum);
      expect(worth(problem, solveKnapsack(problem))).toBeLessThanOrEqual(optimum);
    }),
  );
});

test("on average within 1.5 % of the optimum greedily, within 0.05 % with swaps", () => {
  const sample = fc.sample(
    fc.integer({ min: 1, max: 5 }).chain((resources) =>
      fc.record({
        values: exactly(12, fc.integer({ min: 1, max: 100 })),
        weights: exactly(resources, exactly(12, fc.integer({ min: 1, max: 100 }))),
        capacities: exactly(resources, fc.integer({ min: 150, max: 400 })),
      }),
    ),
    { numRuns: 200, seed: 1 },
  );
  const meanRatio = (solve: (problem: KnapsackProblem) => number[]): number =>
    sample.reduce((sum, problem) => sum + worth(problem, solve(problem)) / optimumByBruteForce(problem), 0) / 200;
  expect(meanRatio(greedyKnapsack)).toBeGreaterThan(0.985);
  expect(meanRatio(solveKnapsack)).toBeGreaterThan(0.9995);
});

function worth({ values }: KnapsackProblem, chosen: readonly number[]): number {
  return chosen.reduce((sum, item) => sum + (values[item] ?? 0), 0);
}

function isFeasible({ weights, capacities }: KnapsackProblem, chosen: readonly number[], tolerance = 0): boolean {
  return weights.every((row, i) => {
    const used = chosen.reduce((sum, item) => sum + (row[item] ?? 0), 0);
    return used <= (capacities[i] ?? 0) * (1 + tolerance);
  });
}

function optimumByBruteForce(problem: KnapsackProblem): number {
  let best = 0;
  for (let subset = 0; subset < 2 ** problem.values.length; subset++) {
    const chosen = problem.values.map((_, item) => item).filter((item) => subset & (1 << item));
    if (isFeasible(problem, chosen)) best = Math.max(best, worth(problem, chosen));
  }
  return best;
}
