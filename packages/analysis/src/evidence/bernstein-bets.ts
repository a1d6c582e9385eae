import { logSpaced, logWeightedSum, normalised } from "./log-mean.ts";

/** Sums over values in [0, 1]; of the squares, not less than there were. */
export interface Moments {
  readonly count: number;
  readonly sum: number;
  readonly sumSquares: number;
}

const BETS = logSpaced(0.01, 20, 12);
/** How much of what a value could cost at most is staked. */
const BOLDEST = 0.9;
/** No arm is taken to be surer than this of its values' end. */
const LEAST_ROOM = 0.001;
const WEIGHTS = normalised(BETS.map(() => 1));
const ARMS = 2;

/** How many numbers `BernsteinBets` remembers. */
export const BERNSTEIN_MEMORY = BETS.length + 2 * ARMS;

/**
 * Evidence that the mean of values in [0, 1] is higher in the canary, by each value: for large strata, of which
 * `DifferenceBets` sees no more than one difference. For a value x of mean m that is at least g − b, a bet λ in [0, 1/b) and
 * a guess g that was made before, exp(λ(x − m) − ψ(λb)(x − g)²/b²) with ψ(u) = −log(1 − u) − u has an expectation of at most
 * 1: b is g for the canary, and 1 − g for the baseline, whose values count the other way round. With λ·count equal on both
 * arms the mean they share in a stratum cancels, whatever it is: drift does no harm. Guesses are each arm's mean so far. Only
 * sums over a stratum are needed; squares that are too large make it weaker, never wrong.
 * Source: Fan, Grama and Liu, EJP 2015, Lemma 4.1; Waudby-Smith and Ramdas, JRSS-B 2024, Theorem 2 (empirical Bernstein).
 */
export class BernsteinBets {
  readonly #logs: Float64Array;
  /** Count and sum of the baseline, then of the canary. */
  readonly #sums: Float64Array;

  /** `memory` as returned by `memory`, to go on from. */
  constructor(memory: Float64Array = new Float64Array(BERNSTEIN_MEMORY)) {
    this.#logs = memory.slice(0, BETS.length);
    this.#sums = memory.slice(BETS.length);
  }

  get memory(): Float64Array {
    return Float64Array.from([...this.#logs, ...this.#sums]);
  }

  /** Natural logarithm of the e-value. */
  get logEvidence(): number {
    return logWeightedSum(this.#logs, WEIGHTS);
  }

  /** Adds a stratum with values of both arms. The first only makes the guesses. */
  add(baseline: Moments, canary: Moments): void {
    const [theirs = 0, theirSum = 0, ours = 0, ourSum = 0] = this.#sums;
    if (theirs > 0 && ours > 0) {
      const arms = [
        sideOf(baseline, theirSum / theirs, 1 - theirSum / theirs),
        sideOf(canary, ourSum / ours, ourSum / ours),
      ];
      const difference = canary.sum / canary.count - baseline.sum / baseline.count;
      const fewer = Math.min(baseline.count, canary.count);
      const most = BOLDEST * Math.min(...arms.map(({ count, room }) => count / room));
      for (const [i, bet] of BETS.entries()) {
        const stake = Math.min(bet * fewer, most);
        const cost = arms.reduce((sum, { count, room, spread }) => sum + psi((stake / count) * room) * spread, 0);
        this.#logs[i] = (this.#logs[i] ?? 0) + stake * difference - cost;
      }
    }
    const added = [baseline.count, baseline.sum, canary.count, canary.sum];
    for (const [i, value] of added.entries()) this.#sums[i] = (this.#sums[i] ?? 0) + value;
  }
}

/** An arm in a stratum: how far a value can lie from the guess on the side that costs, and squared distances in that unit. */
function sideOf({ count, sum, sumSquares }: Moments, guess: number, reach: number) {
  const room = Math.max(LEAST_ROOM, reach);
  const squares = Math.max(0, sumSquares - 2 * guess * sum + count * guess * guess);
  return { count, room, spread: squares / (room * room) };
}

function psi(bet: number): number {
  return -Math.log1p(-bet) - bet;
}
