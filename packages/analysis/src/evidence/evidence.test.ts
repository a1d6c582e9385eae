import fc from "fast-check";
import { expect, test } from "vitest";
import { hypergeometricLog, type Stratum } from "./hypergeometric.ts";
import { logChoose, logFactorial } from "./log-factorial.ts";
import { logWeightedSum } from "./log-mean.ts";
import { LARGER, LEVELS } from "./rank-tilts.ts";
import { RatioCurve } from "./ratio-curve.ts";
import type { RatioGrid } from "./ratio-grid.ts";
import { logTiltRatio } from "./tilted-draw.ts";

/** Six ratios above 1 with even weights, as in the published vectors. */
const GRID = vectorGrid([1.25, 1.5, 2, 3, 5, 10]);

const stratum = (numbers: readonly [number, number, number, number]): Stratum => {
  const [canaryTrials, baselineTrials, canaryHits, baselineHits] = numbers;
  return { canaryTrials, baselineTrials, canaryHits, baselineHits };
};
const anyStratum = fc
  .record({ canaryTrials: fc.integer({ min: 1, max: 60 }), baselineTrials: fc.integer({ min: 1, max: 200 }) })
  .chain(({ canaryTrials, baselineTrials }) =>
    fc.record({
      canaryTrials: fc.constant(canaryTrials),
      baselineTrials: fc.constant(baselineTrials),
      canaryHits: fc.nat(canaryTrials),
      baselineHits: fc.nat(baselineTrials),
    }),
  );

test("factorials beyond the table continue those in it", () => {
  for (const n of [1023, 1024, 5000]) {
    expect(logFactorial(n + 1) - logFactorial(n)).toBeCloseTo(Math.log(n + 1), 9);
  }
  expect(Math.exp(logChoose(10, 3))).toBeCloseTo(120, 9);
});

test.each([
  [12, 30, 0.1, 4.4766975271],
  [5, 5, 0.1, 4.0066336416],
  [0, 20, 0.1, -1.6406826829],
  [20, 8, 0.5, 1.8791049932],
])("log evidence of %i canary and %i baseline events at share %f", (canary, baseline, share, expected) => {
  const curve = new RatioCurve(GRID);
  curve.addEvents(canary, baseline, share);
  expect(curve.logWorse).toBeCloseTo(expected, 9);
});

test.each([
  [[[10, 90, 3, 2]], 2.7614126708],
  [
    [
      [10, 90, 3, 2],
      [12, 88, 2, 3],
      [9, 91, 4, 1],
    ],
    9.8411104092,
  ],
  [[[100, 900, 0, 12]], -1.2294973058],
] as const)("log evidence of the strata %j", (strata, expected) => {
  const curve = new RatioCurve(GRID);
  for (const numbers of strata) curve.addStratum(stratum(numbers));
  expect(curve.logWorse).toBeCloseTo(expected, 9);
});

test("a two-by-two table is the smallest tilted draw", () => {
  fc.assert(
    fc.property(anyStratum, fc.double({ min: -3, max: 3, noNaN: true }), (table, logOdds) => {
      const { canaryTrials, baselineTrials, canaryHits, baselineHits } = table;
      const hits = canaryHits + baselineHits;
      const byTilt = logTiltRatio({
        pooled: [hits, canaryTrials + baselineTrials - hits],
        canary: [canaryHits, canaryTrials - canaryHits],
        tilt: [logOdds, 0],
      });
      const byTable = hypergeometricLog(table, logOdds) - hypergeometricLog(table, 0);
      expect(byTilt).toBeCloseTo(byTable, 8);
    }),
  );
});

test("the expected likelihood ratio of a stratum is 1 at even odds and at most 1 below", () => {
  fc.assert(
    fc.property(
      anyStratum,
      fc.double({ min: 0.1, max: 3, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (table, log, p) => {
        const expectation = (true_: number): number => expectedRatio(table, log, true_);
        expect(expectation(0)).toBeCloseTo(1, 8);
        expect(expectation(-3 * p)).toBeLessThanOrEqual(1 + 1e-9);
      },
    ),
  );
});

test("a tilted draw's ratios over all draws have mean 1", () => {
  const pooled = [2, 1, 3, 2];
  const tilt = [0, 0.4, 1.1, 2.5];
  let total = 0;
  for (const canary of draws(pooled, 3)) {
    const ways = canary.reduce((sum, count, i) => sum + logChoose(pooled[i] ?? 0, count), 0);
    total += Math.exp(ways - logChoose(8, 3) + logTiltRatio({ pooled, canary, tilt }));
  }
  expect(total).toBeCloseTo(1, 10);
});

test("a tilted draw of any size is finite and nothing when one arm is empty", () => {
  const counts = fc.array(fc.nat(400), { minLength: LEVELS, maxLength: LEVELS });
  fc.assert(
    fc.property(counts, counts, fc.nat(LARGER.tilts.length - 1), (baseline, canary, i) => {
      const pooled = baseline.map((count, level) => count + (canary[level] ?? 0));
      const tilt = LARGER.tilts[i] ?? [];
      expect(Number.isFinite(logTiltRatio({ pooled, canary, tilt }))).toBe(true);
      expect(logTiltRatio({ pooled: baseline, canary: baseline, tilt })).toBe(0);
      expect(logTiltRatio({ pooled: baseline, canary: baseline.map(() => 0), tilt })).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test("tilts rise with the rank, which is what makes the test one-sided, and weights add up to 1", () => {
  for (const tilt of LARGER.tilts) {
    for (const [i, value] of tilt.entries()) expect(value).toBeGreaterThanOrEqual(tilt[i - 1] ?? value);
  }
  expect(LARGER.weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
});

test("a million requests in one stratum take no longer than their spread", () => {
  const table = stratum([100_000, 900_000, 10_500, 90_000]);
  const ratio = hypergeometricLog(table, Math.log(1.5)) - hypergeometricLog(table, 0);
  const tilted = logTiltRatio({ pooled: [100_500, 899_500], canary: [10_500, 89_500], tilt: [Math.log(1.5), 0] });
  expect(tilted).toBeCloseTo(ratio, 4);
});

test("weighted sums of large logarithms do not overflow", () => {
  expect(logWeightedSum([1000, 1000], [0.5, 0.5])).toBeCloseTo(1000, 9);
  expect(logWeightedSum([1, 2], [0, 0])).toBe(Number.NEGATIVE_INFINITY);
});

/** Mean likelihood ratio of exp(log) against even odds when the odds ratio is exp(trueLog). */
function expectedRatio(
  { canaryTrials, baselineTrials, canaryHits, baselineHits }: Stratum,
  log: number,
  trueLog: number,
): number {
  const hits = canaryHits + baselineHits;
  let [mass, total] = [0, 0];
  for (let j = Math.max(0, hits - baselineTrials); j <= Math.min(hits, canaryTrials); j++) {
    const table = { canaryTrials, baselineTrials, canaryHits: j, baselineHits: hits - j };
    const chance = Math.exp(hypergeometricLog(table, trueLog));
    mass += chance;
    total += chance * Math.exp(hypergeometricLog(table, log) - hypergeometricLog(table, 0));
  }
  return total / mass;
}

function vectorGrid(ratios: readonly number[]): RatioGrid {
  const logRatios = [0, ...ratios.map(Math.log)];
  const above = logRatios.map((log) => (log > 0 ? 1 / ratios.length : 0));
  return { logRatios, even: 0, bound: 0, worse: above, better: above, all: above };
}

/** All ways to draw `size` of the pooled items, by category. */
function draws(pooled: readonly number[], size: number): number[][] {
  const [first, ...rest] = pooled;
  if (first === undefined) return size === 0 ? [[]] : [];
  return Array.from({ length: Math.min(first, size) + 1 }, (_, k) =>
    draws(rest, size - k).map((tail) => [k, ...tail]),
  ).flat();
}
