import type { Outcomes } from "./boosted-evidence.ts";
import type { RankedStratum } from "./rank-test.ts";

/** A stratum by rank level, and a mixture of tilts that multiplies the e-value. */
export interface RelabellingOptions {
  readonly stratum: RankedStratum;
  /** Each tilt by level. */
  readonly tilts: readonly (readonly number[])[];
  /** Logarithm of each tilt's part of the mixture times its likelihood ratio for the stratum as it came. */
  readonly logTerms: ArrayLike<number>;
  /** What the factor is capped at. */
  readonly logCap: number;
  /** How many strata came before. */
  readonly place: number;
}

/** By the e-value left to the cap, so that the stratum as it came is a small part of the mean. */
const DRAWS_PER_CAP = 20;
const MIN_DRAWS = 400;
/** Drawing more takes longer than what it may save is worth. */
const MOST_DRAWN = 300;
const MOST_POOLED = 2_000;

/**
 * What the stratum's factor would have been had other requests of it been the canary's: as it came, and so many
 * pseudo-random choices of as many requests, all equally likely when the arms do not differ: so the mean is exact, however few they are. Undefined for strata too large.
 */
export function relabellings({ stratum, tilts, logTerms, logCap, place }: RelabellingOptions): Outcomes | undefined {
  const items = levelsOf(stratum.pooled);
  const ours = sum(stratum.canary);
  const drawn = Math.min(ours, items.length - ours);
  if (drawn > MOST_DRAWN || items.length > MOST_POOLED || drawn === 0) return undefined;
  const uniform = uniforms(seedOf(stratum, place));
  // Drawing the baseline's requests instead leaves the canary all others: their scores are the rest of the total.
  const sign = drawn === ours ? 1 : -1;
  const asItCame = scoresOf(stratum, tilts, sign > 0);
  const factors = [factorOf(logTerms, asItCame, asItCame, sign)];
  const draws = Math.max(MIN_DRAWS, DRAWS_PER_CAP * Math.exp(logCap));
  while (factors.length <= draws) {
    factors.push(factorOf(logTerms, drawScores({ items, drawn, tilts, uniform }), asItCame, sign));
  }
  return { factors, chances: factors.map(() => 1 / factors.length) };
}

function factorOf(logTerms: ArrayLike<number>, scores: Float64Array, asItCame: Float64Array, sign: number): number {
  let factor = 0;
  for (let i = 0; i < scores.length; i++) {
    factor += Math.exp((logTerms[i] ?? 0) + sign * ((scores[i] ?? 0) - (asItCame[i] ?? 0)));
  }
  return factor;
}

interface DrawOptions {
  /** Level of each pooled request; shuffled in part. */
  readonly items: Int32Array;
  readonly drawn: number;
  readonly tilts: readonly (readonly number[])[];
  uniform(): number;
}

function drawScores({ items, drawn, tilts, uniform }: DrawOptions): Float64Array {
  for (let k = 0; k < drawn; k++) {
    const at = k + Math.floor(uniform() * (items.length - k));
    const level = items[at] ?? 0;
    items[at] = items[k] ?? 0;
    items[k] = level;
  }
  return Float64Array.from(tilts, (tilt) => {
    let score = 0;
    for (let k = 0; k < drawn; k++) score += tilt[items[k] ?? 0] ?? 0;
    return score;
  });
}

function scoresOf(
  { pooled, canary }: RankedStratum,
  tilts: RelabellingOptions["tilts"],
  isCanary: boolean,
): Float64Array {
  const counts = isCanary ? canary : pooled.map((count, level) => count - (canary[level] ?? 0));
  return Float64Array.from(tilts, (tilt) =>
    tilt.reduce((score, value, level) => score + value * (counts[level] ?? 0), 0),
  );
}

function levelsOf(pooled: ArrayLike<number>): Int32Array {
  const items = new Int32Array(sum(pooled));
  let at = 0;
  for (let level = 0; level < pooled.length; level++) {
    const end = at + (pooled[level] ?? 0);
    items.fill(level, at, end);
    at = end;
  }
  return items;
}

/**
 * From the pooled requests, never from which of them are the canary's: no two rollouts get the same choices, so that an
 * error in one's mean is not in every other's.
 */
function seedOf({ pooled }: RankedStratum, place: number): number {
  return pooled.reduce((hash, count) => Math.imul(hash ^ (count + 1), 0x01000193) ^ (hash >>> 15), place + 1);
}

/** Uniform numbers in [0, 1): a Weyl sequence, hashed (the finaliser of MurmurHash3, A. Appleby, public domain). */
function uniforms(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let hash = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
  };
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] ?? 0;
  return total;
}
