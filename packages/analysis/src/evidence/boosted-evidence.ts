/** What may come of a stratum when the arms do not differ: the chance of each outcome, and what it multiplies the e-value by. */
export interface Outcomes {
  readonly chances: ArrayLike<number>;
  readonly factors: ArrayLike<number>;
}

/** One stratum's part of the evidence. */
export interface EvidenceStep {
  /** Natural logarithm of what the stratum multiplies the e-value by. */
  readonly logFactor: number;
  /** Natural logarithm of the e-value at which everything is decided; more is of no use to anybody. */
  readonly logCap: number;
  /** All outcomes, that which came among them; undefined when there are too many to count. `gap`: nats to the cap; asked for only near it. */
  outcomes(gap: number): Outcomes | undefined;
}

/** Further from the cap than this, in nats, a stratum hardly reaches it. */
const REACH = 5;
/** Keeps what was capped from falling short of the cap by rounding. */
const ROUNDING = 1e-9;
const STEPS = 60;
/** Beyond, outcomes without any chance are told from others by rounding alone. */
const MAX_BOOST = 1e9;

/**
 * An e-value that spends on nearer outcomes what it would win beyond the cap. Evidence comes in strata, so it overshoots
 * the threshold, by up to a third of it in large windows; that is evidence nobody needs. A factor F with mean 1 is replaced
 * by min(b·F, cap), with the largest b at which the mean is still 1.
 * Source: Fischer and Ramdas, Improving the (approximate) sequential probability ratio test by avoiding overshoot, 2024.
 */
export class BoostedEvidence {
  #log: number;

  constructor(log = 0) {
    this.#log = log;
  }

  /** Natural logarithm of the e-value. */
  get log(): number {
    return this.#log;
  }

  add({ logFactor, logCap, outcomes }: EvidenceStep): void {
    const gap = logCap - this.#log;
    const known = gap > 0 && gap < REACH ? outcomes(gap) : undefined;
    const logStep = known === undefined ? logFactor : Math.min(gap + ROUNDING, logFactor + logBoost(known, gap));
    this.#log += logStep;
  }
}

/** Logarithm of the largest b with Σ chance·min(b·factor, exp(logCap)) ≤ 1. */
export function logBoost({ chances, factors }: Outcomes, logCap: number): number {
  const cap = Math.exp(logCap);
  const mean = (boost: number): number => {
    let sum = 0;
    for (let i = 0; i < chances.length; i++) sum += (chances[i] ?? 0) * Math.min(boost * (factors[i] ?? 0), cap);
    return sum;
  };
  let low = 0;
  let high = 2;
  while (mean(high) < 1 && high < MAX_BOOST) high *= 2;
  for (let step = 0; step < STEPS; step++) {
    const middle = (low + high) / 2;
    if (mean(middle) > 1) high = middle;
    else low = middle;
  }
  return Math.log(low);
}
