import { expect, test } from "vitest";
import { asymptoticOneSidedRadius, asymptoticRadius } from "./asymptotic.ts";
import { bernoulliInterval, betaBinomialMixture } from "./beta-binomial.ts";
import {
  bettingInterval,
  empiricalBernsteinInterval,
  hoeffdingInterval,
  logHedgedCapital,
  predictableStakes,
} from "./betting.ts";
import { BlockTest } from "./block-test.ts";
import {
  bestRho,
  gammaExponentialMixture,
  gammaPoissonMixture,
  oneSidedNormalMixture,
  twoSidedNormalMixture,
} from "./mixtures.ts";
import { logMultinomialEvidence } from "./multinomial.ts";
import { dkwRadius } from "./quantile-bounds.ts";
import { quantileTestPValue } from "./quantile-test.ts";
import { doubleStitching, empiricalProcessBound, polynomialStitching } from "./stitching.ts";

const LEVEL = Math.log(20);
const TWO_SIDED = bestRho(100, 0.05);
const ONE_SIDED = bestRho(100, 0.1);
const repeated = (pattern: readonly number[], times: number): number[] =>
  Array.from({ length: times }, () => pattern).flat();

test("the best tuning of a mixture", () => {
  expect(TWO_SIDED).toBeCloseTo(12.60056, 5);
});

test.each([
  ["normal, two-sided", twoSidedNormalMixture(TWO_SIDED), -0.6510052, 30.35209],
  ["normal, one-sided", oneSidedNormalMixture(ONE_SIDED), -0.06502391, 27.66071],
  ["gamma-exponential", gammaExponentialMixture(ONE_SIDED, 2), -0.2490165, 33.02017],
  ["gamma-Poisson", gammaPoissonMixture(ONE_SIDED, 2), -0.06991219, 30.1949],
] as const)("%s mixture as in confseq", (_name, mixture, log, bound) => {
  expect(mixture.logMartingale(10, 100)).toBeCloseTo(log, 6);
  expect(mixture.bound(100, LEVEL)).toBeCloseTo(bound, 4);
});

test.each([
  [false, -0.6941012, 31.4308],
  [true, -0.07134019, 28.41238],
])("beta-binomial mixture as in confseq, one-sided: %s", (isOneSided, log, bound) => {
  const mixture = betaBinomialMixture({ g: 0.2, h: 0.8, vOpt: 100, alphaOpt: 0.05, isOneSided });
  expect(mixture.logMartingale(10, 100)).toBeCloseTo(log, 6);
  expect(mixture.bound(100, LEVEL)).toBeCloseTo(bound, 4);
  if (isOneSided) expect(mixture.bound(0.32, LEVEL)).toBeCloseTo(1.6, 9);
});

test("stitched bounds as in confseq", () => {
  expect(polynomialStitching(100, { alpha: 0.05, vMin: 10, scale: 3 })).toBeCloseTo(64.48755, 4);
  expect(polynomialStitching(100, { alpha: 0.05, vMin: 10, scale: -1 })).toBeCloseTo(28.99389, 4);
  expect(empiricalProcessBound({ count: 1000, alpha: 0.05, tMin: 100 })).toBeCloseTo(0.08204769, 6);
  expect(empiricalProcessBound({ count: 99, alpha: 0.05, tMin: 100 })).toBe(Infinity);
});

test.each([
  [0.5, 68.62803],
  [0.9, 43.72119],
  [0.1, 59.96521],
])("double stitching at quantile %f as in confseq", (quantile, bound) => {
  expect(doubleStitching(quantile, { count: 1000, alpha: 0.05, tMin: 100 })).toBeCloseTo(bound, 4);
});

test.each([
  [0.5, 70, 0.814704],
  [0.5, 85, 0.0838055],
  [0.5, 100, 0.0054947],
  [0.9, 55, 0.0340463],
])("two samples at quantile %f, shifted by %i, as in confseq", (quantile, offset, p) => {
  const a = Array.from({ length: 1000 }, (_, i) => i + 1);
  const b = a.map((value) => value + offset);
  expect(quantileTestPValue({ a, b, quantile, tOpt: 100 })).toBeCloseTo(p, 5);
});

test.each([
  [700, 1000, 100, 0.651629, 0.745949],
  [15, 50, 50, 0.129556, 0.511896],
  [5, 50, 50, 0.013021, 0.269264],
  [1, 50, 50, 0, 0.13489],
  [100, 200, 1, 0.328923, 0.671076],
])("%i successes in %i trials as in confseq", (successes, trials, tOpt, low, high) => {
  const interval = bernoulliInterval({ successes, trials, alpha: 0.05, tOpt });
  expect(interval.low).toBeCloseTo(low, 5);
  expect(interval.high).toBeCloseTo(high, 5);
});

test("band around a distribution function", () => {
  expect(dkwRadius(1000, 0.05)).toBeCloseTo(0.0865691284, 10);
  expect(dkwRadius(1000, 0.01)).toBeCloseTo(0.0917849067, 10);
  expect(dkwRadius(10_000, 0.05)).toBeCloseTo(0.0277107451, 10);
});

test.each([
  [100, 0.3656394871, 0.3296956958],
  [1000, 0.0960640193, 0.0881403662],
])("asymptotic confidence sequence after %i values", (count, twoSided, oneSided) => {
  const options = { count, deviation: 1, alpha: 0.05, rho2: 0.01 };
  expect(asymptoticRadius(options)).toBeCloseTo(twoSided, 9);
  expect(asymptoticOneSidedRadius(options)).toBeCloseTo(oneSided, 9);
});

const COINS = repeated([1, 0, 0, 1, 1, 0, 1, 1, 1, 0], 20);
const RARE = Array.from({ length: 400 }, (_, i) => ((i + 1) % 20 === 0 ? 1 : 0));

test("stakes and capital of bets on a mean as in confseq", () => {
  for (const [i, stake] of [5.88008714, 4.17752695, 2.77189966, 2.30098143, 1.8730601].entries()) {
    expect(predictableStakes(COINS, 0.05)[i]).toBeCloseTo(stake, 7);
  }
  expect(Math.exp(logHedgedCapital(COINS, 0.5, 0.05))).toBeCloseTo(4.9009867, 6);
  expect(Math.exp(logHedgedCapital(COINS, 0.7, 0.05))).toBeCloseTo(6.3016469, 6);
  expect(Math.exp(logHedgedCapital(COINS, 0.3, 0.05)) / 8224387.7).toBeCloseTo(1, 7);
});

test.each([
  [10, 0.176, 0.938],
  [50, 0.389, 0.79],
  [100, 0.441, 0.749],
  [200, 0.479, 0.715],
])("betting interval after %i values as in confseq", (count, low, high) => {
  const interval = bettingInterval(COINS.slice(0, count), 0.05);
  expect(Math.abs(interval.low - low)).toBeLessThan(0.0011);
  expect(Math.abs(interval.high - high)).toBeLessThan(0.0011);
});

test("intervals of a rare event as in confseq", () => {
  const at100 = bettingInterval(RARE.slice(0, 100), 0.05);
  expect(Math.abs(at100.low)).toBeLessThan(0.0011);
  expect(Math.abs(at100.high - 0.136)).toBeLessThan(0.0011);
  const at400 = bettingInterval(RARE, 0.05);
  expect(Math.abs(at400.low - 0.019)).toBeLessThan(0.0011);
  expect(Math.abs(at400.high - 0.087)).toBeLessThan(0.0011);
  const bernstein = empiricalBernsteinInterval(RARE, 0.05);
  expect(bernstein.low).toBeCloseTo(0.01206092, 7);
  expect(bernstein.high).toBeCloseTo(0.08888698, 7);
});

test("closed-form intervals as in confseq", () => {
  const bernstein = empiricalBernsteinInterval(COINS, 0.05);
  expect(bernstein.low).toBeCloseTo(0.47231814, 7);
  expect(bernstein.high).toBeCloseTo(0.72275439, 7);
  const hoeffding = hoeffdingInterval(COINS, 0.05);
  expect(hoeffding.low).toBeCloseTo(0.48352239, 7);
  expect(hoeffding.high).toBeCloseTo(0.7131064, 7);
});

test.each([
  [[148, 62], [0.8, 0.2], 100, -Math.log(0.045579631759249686)],
  [[40, 129, 233], [0.1, 0.4, 0.5], 100, -Math.log(0.04845591105969517)],
  [[30, 20], [0.8, 0.2], 100, 1.6308741859],
  [[5, 15], [0.5, 0.5], 100, 0.3290765954],
  [[100, 140], [0.5, 0.5], 100, 1.7517293605],
  [[95, 10], [0.9, 0.1], 100, -0.3453150163],
  [[90, 25], [0.9, 0.1], 100, 3.4414222831],
] as const)("multinomial evidence of %j against %j as in savvi", (counts, shares, concentration, log) => {
  expect(logMultinomialEvidence(counts, shares, concentration)).toBeCloseTo(log, 9);
});

test("evidence of blocks as in Turner, Ly and Grünwald", () => {
  const blocks = new BlockTest();
  const logs = [2, 3, 1].map((baselineHits, i) => {
    const canaryHits = [3, 2, 4][i] ?? 0;
    blocks.add({ baselineTrials: 90, canaryTrials: 10, baselineHits, canaryHits });
    return blocks.logEvidence;
  });
  expect(logs[0]).toBeCloseTo(0, 9);
  expect(logs[1]).toBeCloseTo(1.2639825548, 9);
  expect(logs[2]).toBeCloseTo(7.7369181581, 9);
});
