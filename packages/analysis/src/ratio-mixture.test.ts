import fc from "fast-check";
import { expect, test } from "vitest";
import { logSpaced, RatioMixture } from "./ratio-mixture.ts";

const GRID = [1.25, 1.5, 2, 3, 5, 10];

test.each([
  [12, 30, 0.1, 4.4766975271],
  [5, 5, 0.1, 4.0066336416],
  [0, 20, 0.1, -1.6406826829],
  [20, 8, 0.5, 1.8791049932],
])("log evidence of %i canary and %i baseline errors at share %f", (canary, baseline, weight, expected) => {
  const mixture = new RatioMixture(1, GRID);
  mixture.add(canary, baseline, weight);
  expect(mixture.logEvidence).toBeCloseTo(expected, 9);
});

test("errors count the same in one window or in many", () => {
  const counts = fc.tuple(fc.nat(20), fc.nat(20));
  fc.assert(
    fc.property(
      fc.array(counts, { maxLength: 20 }),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      (windows, weight) => {
        const many = new RatioMixture(1, GRID);
        for (const [canary, baseline] of windows) many.add(canary, baseline, weight);
        const one = new RatioMixture(1, GRID);
        one.add(sum(windows.map(([canary]) => canary)), sum(windows.map(([, baseline]) => baseline)), weight);
        expect(many.logEvidence).toBeCloseTo(one.logEvidence, 6);
      },
    ),
  );
});

test("the expected e-value of one error is 1 at the null ratio and less below it", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      fc.double({ min: 0.05, max: 1, noNaN: true }),
      (weight, ratio) => {
        const chance = (weight * ratio) / (weight * ratio + 1 - weight);
        const expected = chance * evidenceOf(1, 0, weight) + (1 - chance) * evidenceOf(0, 1, weight);
        expect(expected).toBeLessThanOrEqual(1 + 1e-9);
        if (ratio === 1) expect(expected).toBeCloseTo(1, 9);
      },
    ),
  );
});

test("a log-spaced grid has its ends and even ratios", () => {
  const grid = logSpaced(1.1, 30, 24);
  expect(grid).toHaveLength(24);
  expect(grid[0]).toBeCloseTo(1.1, 12);
  expect(grid[23]).toBeCloseTo(30, 9);
});

function evidenceOf(canary: number, baseline: number, weight: number): number {
  const mixture = new RatioMixture(1, GRID);
  mixture.add(canary, baseline, weight);
  return Math.exp(mixture.logEvidence);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
