import { normalised } from "./log-mean.ts";
import { normalCdf, normalQuantile } from "./normal.ts";

/** Alternatives to "both arms have the same distribution", as tilts by rank level. */
export interface RankTilts {
  /** Tilt of each alternative by level. */
  readonly tilts: readonly (readonly number[])[];
  /** Adds up to 1. */
  readonly weights: readonly number[];
}

const LEVEL_EDGES = levelEdges();
const LEVEL_MIDDLES = [...LEVEL_EDGES, 1].map((edge, i) => (edge + (LEVEL_EDGES[i - 1] ?? 0)) / 2);
/** Shifts in standard deviations, and how much each is expected. */
const SHIFTS = [
  { size: 0.1, weight: 0.03 },
  { size: 0.2, weight: 0.08 },
  { size: 0.3, weight: 0.3 },
  { size: 0.45, weight: 0.3 },
  { size: 0.65, weight: 0.5 },
  { size: 0.9, weight: 3 },
  { size: 1.3, weight: 2.5 },
];
const STEPS_AT = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
const STEP_SIZE = 1.5;
/** Of heavy-tailed shifts, relative to those of normal ones; of all steps together. */
const HEAVY_WEIGHT = 0.3;
const STEP_WEIGHT = 0.3;
/** Relative to one for larger and one for smaller values; for each of more and less spread. */
const SPREAD_WEIGHT = 0.3;

const NORMAL_SCORES = LEVEL_MIDDLES.map(normalQuantile);
const WILCOXON_SCORES = LEVEL_MIDDLES.map((rank) => Math.sqrt(3) * (2 * rank - 1));

/** How many levels ranks are rounded to. */
export const LEVELS = LEVEL_MIDDLES.length;

/** The level of a rank in (0, 1): finer towards both ends. */
export function levelOf(rank: number): number {
  let low = 0;
  let high = LEVEL_EDGES.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rank > (LEVEL_EDGES[middle] ?? 1)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Alternatives in which the canary's values are larger: a shift of everything (normal scores, best when logarithms are
 * normal; Wilcoxon scores, best with heavier tails) and more values above some quantile, down to the last percent. Each
 * tilt rises with the rank: that is what makes the test one-sided.
 */
export const LARGER: RankTilts = largerTilts();

/** The same in which the canary's values are smaller. */
export const SMALLER: RankTilts = {
  tilts: LARGER.tilts.map((tilt) => tilt.toReversed()),
  weights: LARGER.weights,
};

/** Only shifts to smaller values: for showing that a canary stays below a bound, where large effects are the rule. */
export const SHIFTED_DOWN: RankTilts = {
  tilts: SHIFTS.map(({ size }) => NORMAL_SCORES.map((score) => -size * score)),
  weights: normalised(SHIFTS.map(({ weight }) => weight)),
};

/** Canary's values larger, smaller, or more (or less) spread. */
export const DIFFERENT: RankTilts = differentTilts();

function differentTilts(): RankTilts {
  const spreads = [2, -2].flatMap((sign) =>
    SHIFTS.map(({ size, weight }) => ({
      tilt: WILCOXON_SCORES.map((score) => sign * size * Math.abs(score)),
      weight: (SPREAD_WEIGHT * weight) / SHIFTS.length,
    })),
  );
  return {
    tilts: [...LARGER.tilts, ...SMALLER.tilts, ...spreads.map(({ tilt }) => tilt)],
    weights: normalised([...LARGER.weights, ...SMALLER.weights, ...spreads.map(({ weight }) => weight)]),
  };
}

function largerTilts(): RankTilts {
  const normal = SHIFTS.map(({ size, weight }) => ({ tilt: NORMAL_SCORES.map((score) => size * score), weight }));
  const heavy = SHIFTS.map(({ size, weight }) => ({
    tilt: WILCOXON_SCORES.map((score) => size * score),
    weight: HEAVY_WEIGHT * weight,
  }));
  const steps = STEPS_AT.map((at) => ({
    tilt: LEVEL_MIDDLES.map((rank) => (rank > at ? STEP_SIZE : 0)),
    weight: STEP_WEIGHT / STEPS_AT.length,
  }));
  const all = [...normal, ...heavy, ...steps];
  return { tilts: all.map(({ tilt }) => tilt), weights: normalised(all.map(({ weight }) => weight)) };
}

/** Symmetric about a half: a step every quarter of a standard deviation, and the quantiles at which steps are tested. */
function levelEdges(): readonly number[] {
  const scores = Array.from({ length: 9 }, (_, i) => normalCdf((i + 1) / 4));
  const upper = [...scores, 0.75, 0.9, 0.95, 0.99, 0.999].sort((a, b) => a - b);
  return [...upper.map((edge) => 1 - edge).reverse(), 0.5, ...upper];
}
