import { logChoose } from "./log-factorial.ts";

/** Requests of one stratum by category, and how much likelier each category is to be the canary's. */
export interface TiltedDraw {
  /** Requests of both arms by category. */
  readonly pooled: ArrayLike<number>;
  /** Of them the canary's. */
  readonly canary: ArrayLike<number>;
  /** Tilt by category: log odds that a request of it is the canary's, up to a common constant. */
  readonly tilt: ArrayLike<number>;
}

const NEWTON_STEPS = 8;
/** Where the integrand is below exp(−this) of its peak it is left out. */
const CUT_OFF = 40;

/**
 * Log likelihood ratio of a tilt against no tilt, given the pooled requests by category and how many are the canary's.
 *
 * With no tilt every subset of the pooled requests is as likely to be the canary's; with tilts t it is as likely as the
 * product of its members' exp(t): Fisher's noncentral distribution, of which the 2 × 2 table is the smallest case. Its
 * normaliser is the chance that independent coins with log odds t + c show exactly the canary's number of heads. That
 * chance, the Fourier integral of their characteristic function, is summed by the trapezoidal rule, which is exact to
 * rounding once the spacing resolves the distribution; c is chosen so that its mean is the canary's number.
 * 0 when one arm has no requests.
 */
export function logTiltRatio({ pooled, canary, tilt }: TiltedDraw): number {
  const total = sum(pooled);
  const heads = sum(canary);
  if (heads === 0 || heads === total) return 0;
  const chances = balancedChances(pooled, tilt, heads / total);
  let logOfDraw = 0;
  for (let i = 0; i < pooled.length; i++) {
    const all = pooled[i] ?? 0;
    const ours = canary[i] ?? 0;
    const chance = chances[i] ?? 0;
    if (ours > 0) logOfDraw += ours * Math.log(chance);
    if (all > ours) logOfDraw += (all - ours) * Math.log1p(-chance);
  }
  return logOfDraw - Math.log(chanceOfHeads(pooled, chances, heads)) + logChoose(total, heads);
}

/** Chance of each category's requests to be the canary's, such that the canary's expected part is `share`. */
function balancedChances(pooled: ArrayLike<number>, tilt: ArrayLike<number>, share: number): Float64Array {
  const total = sum(pooled);
  const chances = new Float64Array(pooled.length);
  let offset = Math.log(share / (1 - share));
  for (let i = 0; i < pooled.length; i++) offset -= ((pooled[i] ?? 0) * (tilt[i] ?? 0)) / total;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    let mean = 0;
    let variance = 0;
    for (let i = 0; i < pooled.length; i++) {
      const chance = 1 / (1 + Math.exp(-offset - (tilt[i] ?? 0)));
      chances[i] = chance;
      mean += (pooled[i] ?? 0) * chance;
      variance += (pooled[i] ?? 0) * chance * (1 - chance);
    }
    const miss = (share * total - mean) / variance;
    if (!(Math.abs(miss) > 1e-4)) break;
    offset += Math.max(-2, Math.min(2, miss));
  }
  return chances;
}

/** Chance that exactly `heads` of independent coins, `counts[i]` of chance `chances[i]`, show heads; heads is near their mean. */
function chanceOfHeads(counts: ArrayLike<number>, chances: ArrayLike<number>, heads: number): number {
  const groups: { count: number; chance: number; spread: number }[] = [];
  let variance = 0;
  for (let i = 0; i < counts.length; i++) {
    const chance = chances[i] ?? 0;
    const spread = chance * (1 - chance);
    const count = counts[i] ?? 0;
    if (count > 0) groups.push({ count, chance, spread });
    variance += count * spread;
  }
  // Beyond so many nodes, what aliases into the sum is below rounding (Bennett's inequality).
  const nodes = Math.min(sum(counts) + 1, Math.ceil(26 + 8.9 * Math.sqrt(variance)));
  let total = 1;
  for (let node = 1; 2 * node <= nodes; node++) {
    const angle = (2 * Math.PI * node) / nodes;
    const sine = Math.sin(angle);
    const versine = 1 - Math.cos(angle);
    if (variance * versine > CUT_OFF) break;
    let logSize = 0;
    let phase = -angle * heads;
    for (const { count, chance, spread } of groups) {
      logSize += 0.5 * count * Math.log(1 - 2 * spread * versine);
      phase += count * Math.atan2(chance * sine, 1 - chance * versine);
    }
    total += (2 * node === nodes ? 1 : 2) * Math.exp(logSize) * Math.cos(phase);
  }
  return total / nodes;
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] ?? 0;
  return total;
}
