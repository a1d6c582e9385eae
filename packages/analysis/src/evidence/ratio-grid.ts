import { logSpaced, normalised } from "./log-mean.ts";

/** Ratios of odds or rates, as logarithms in ascending order, with what each is expected of before any data. */
export interface RatioGrid {
  readonly logRatios: readonly number[];
  /** Index of ratio 1. */
  readonly even: number;
  /** Index of the ratio that a canary must be shown to be below to pass. */
  readonly bound: number;
  /** Over ratios above 1, for "worse than the baseline"; each list of weights adds up to 1. */
  readonly worse: readonly number[];
  /** Over ratios below the bound, for "better than the bound". */
  readonly better: readonly number[];
  /** Over all ratios, for confidence intervals. */
  readonly all: readonly number[];
}

const SMALLEST = 0.06;
const LARGEST = 3.4;
/** Log ratios beyond, up to one in 10,000, that a confidence sequence tells from each other. */
const FAR = [4.2, 5.2, 6.5, 7.8, Math.log(10_000)];

/**
 * A grid of `2·size + 2` ratios between 1/30 and 30, denser near 1, as the requests that a ratio needs grow with the
 * inverse square of its logarithm. Weights are such that small and large regressions are found about equally far from the
 * information limit; large ones get more, for they are found within few errors, each of which carries the evidence far
 * beyond the threshold. `isFar` adds ratios up to 10,000 both ways for confidence sequences.
 */
export function ratioGrid(size: number, margin: number, isFar = false): RatioGrid {
  const steps = logSpaced(SMALLEST, LARGEST, size);
  const limit = Math.log(1 + margin);
  const sizes = isFar ? [...steps, ...FAR] : steps;
  const logRatios = [...sizes.map((step) => -step), 0, ...sizes, limit].sort((a, b) => a - b);
  const ratio = (weight: (log: number) => number): readonly number[] => normalised(logRatios.map(weight));
  return {
    logRatios,
    even: logRatios.indexOf(0),
    bound: logRatios.indexOf(limit),
    worse: ratio((log) => (log > 0 && steps.includes(log) ? expectation(log) : 0)),
    better: ratio((log) => (log < limit && log > -LARGEST - 0.1 ? 1 : 0)),
    all: ratio((log) => expectation(Math.abs(log))),
  };
}

/** Relative weight of a regression of this log ratio; set by simulation, so that none is far from the best for it. */
function expectation(log: number): number {
  if (log < 0.3) return 0.05;
  if (log < 1) return 1;
  if (log < 1.3) return 0.45;
  return log < 2.6 ? 2.6 : 0.2;
}
