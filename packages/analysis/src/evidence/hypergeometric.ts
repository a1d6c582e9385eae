import { logFactorial } from "./log-factorial.ts";

/** What two arms did side by side: trials, and how many of them were hits (errors, answers with a label). Integers. */
export interface Stratum {
  readonly baselineTrials: number;
  readonly canaryTrials: number;
  readonly baselineHits: number;
  readonly canaryHits: number;
}

/** Terms smaller than this part of the largest one are left out of a sum. */
const NEGLIGIBLE = 1e-18;

/**
 * Log probability that, of all hits of a stratum, exactly this many are the canary's when its odds of a hit are
 * exp(logOdds) times the baseline's: Fisher's noncentral hypergeometric distribution, up to a term that does not depend
 * on the odds (so differences are log likelihood ratios). Takes O(standard deviation) steps, whatever the counts.
 */
export function hypergeometricLog(stratum: Stratum, logOdds: number): number {
  const odds = Math.exp(logOdds);
  const draw = drawOf(stratum);
  const mode = findMode(draw, odds);
  const sum = 1 + sumAway({ draw, odds, from: mode, up: true }) + sumAway({ draw, odds, from: mode, up: false });
  return (
    logWays(draw, stratum.canaryHits) - logWays(draw, mode) + (stratum.canaryHits - mode) * logOdds - Math.log(sum)
  );
}

/**
 * Logarithm of the number of ways that each possible number of hits can be the canary's, from the smallest on, up to a
 * constant; undefined when more than `most` numbers are possible.
 */
export function logWaysOf(stratum: Stratum, most: number): readonly number[] | undefined {
  const draw = drawOf(stratum);
  const count = draw.highest - draw.lowest + 1;
  if (count > most) return undefined;
  return Array.from({ length: count }, (_, i) => logWays(draw, draw.lowest + i));
}

interface Draw {
  readonly canary: number;
  readonly baseline: number;
  readonly hits: number;
  readonly lowest: number;
  readonly highest: number;
}

function drawOf({ baselineTrials, canaryTrials, baselineHits, canaryHits }: Stratum): Draw {
  const hits = baselineHits + canaryHits;
  return {
    canary: canaryTrials,
    baseline: baselineTrials,
    hits,
    lowest: Math.max(0, hits - baselineTrials),
    highest: Math.min(hits, canaryTrials),
  };
}

/** Probability of j + 1 canary hits over that of j. */
function stepUp(draw: Draw, odds: number, j: number): number {
  return (odds * (draw.canary - j) * (draw.hits - j)) / ((j + 1) * (draw.baseline - draw.hits + j + 1));
}

function findMode(draw: Draw, odds: number): number {
  let { lowest, highest } = draw;
  while (lowest < highest) {
    const middle = Math.floor((lowest + highest) / 2);
    if (stepUp(draw, odds, middle) >= 1) lowest = middle + 1;
    else highest = middle;
  }
  return lowest;
}

/** Sum of the probabilities on one side of `from`, relative to the one there. */
function sumAway({ draw, odds, from, up }: { draw: Draw; odds: number; from: number; up: boolean }): number {
  let term = 1;
  let sum = 0;
  for (let j = from; up ? j < draw.highest : j > draw.lowest; j += up ? 1 : -1) {
    term *= up ? stepUp(draw, odds, j) : 1 / stepUp(draw, odds, j - 1);
    sum += term;
    if (term < NEGLIGIBLE) break;
  }
  return sum;
}

/** Logarithm of the number of ways to get j canary hits, up to a constant of the draw. */
function logWays({ canary, baseline, hits }: Draw, j: number): number {
  return -(logFactorial(j) + logFactorial(canary - j) + logFactorial(hits - j) + logFactorial(baseline - hits + j));
}
