import { BoostedEvidence } from "./boosted-evidence.ts";
import { logSum, logWeightedSum } from "./log-mean.ts";
import { LEVELS, levelOf, type RankTilts } from "./rank-tilts.ts";
import { relabellings } from "./relabelling.ts";
import type { SampleTable } from "./sample-table.ts";
import type { Sketch } from "./sketch.ts";
import { logTiltRatio } from "./tilted-draw.ts";

/** The past counts as at most this many values, so that ranks follow a distribution that drifts. */
const MEMORY = 1_000;

/** Both arms' requests of one stratum by rank level. */
export interface RankedStratum {
  readonly pooled: Float64Array;
  readonly canary: Float64Array;
}

/**
 * Ranks of a stratum's values among its own and the past's, both arms together; equal values share the middle of their
 * ranks. Ranks are a function of the past and of the stratum's unlabelled values, so with no difference between the arms
 * every choice of the canary's requests among them stays equally likely: no coin is needed for ties.
 */
export function rankStratum(table: SampleTable, past: Sketch): RankedStratum {
  const pooled = new Float64Array(LEVELS);
  const canary = new Float64Array(LEVELS);
  const held = past.held;
  const all = past.total + tableSize(table);
  let pastBelow = 0;
  let below = 0;
  let next = 0;
  for (const [i, value] of table.values.entries()) {
    while (next < held.values.length && (held.values[next] ?? 0) < value) pastBelow += held.weights[next++] ?? 0;
    const pastEqual = held.values[next] === value ? (held.weights[next] ?? 0) : 0;
    const ours = table.canary[i] ?? 0;
    const count = ours + (table.baseline[i] ?? 0);
    const level = levelOf((pastBelow + below + (pastEqual + count) / 2) / all);
    pooled[level] = (pooled[level] ?? 0) + count;
    canary[level] = (canary[level] ?? 0) + ours;
    below += count;
  }
  return { pooled, canary };
}

/** Takes a stratum into the past that later ranks are among. */
export function remember(past: Sketch, { values, baseline, canary }: SampleTable): void {
  past.add({ values, weights: values.map((_, i) => (baseline[i] ?? 0) + (canary[i] ?? 0)) });
  if (past.total > MEMORY) past.scale(MEMORY / 2 / past.total);
}

/**
 * Evidence that the canary's values are larger (or smaller, by the tilts) than the baseline's: the rank-tilt e-process,
 * conditioned on how many of a stratum's values are the canary's. Distribution-free; valid under drift, bursts and
 * autocorrelation, as only the assignment to the arms is random. Conditioning spares knowing the weight.
 *
 * One-sided: give each canary value a partner from the baseline's distribution that is at least as large. Replacing the
 * canary's values by their partners raises their ranks and lowers the baseline's, each ratio rises with every rank of the
 * canary's and falls with every rank of the baseline's (all tilts rise), and with the partners it has expectation 1.
 * Near the cap the mixture is boosted, with the mean over relabelled strata: with mean 1 where the arms have the same
 * distribution; that it has less where the canary is better is shown by simulation only.
 * Sources: Shekhar and Ramdas 2023 (predictive two-sample bets); tilts by rank level are our own.
 */
export class RankEvidence {
  readonly #tilts: RankTilts;
  readonly #logs: Float64Array;
  readonly #boosted: BoostedEvidence;
  #strata: number;

  /** `memory` of an earlier one, to go on from. */
  constructor(tilts: RankTilts, memory?: Float64Array) {
    this.#tilts = tilts;
    const count = tilts.tilts.length;
    this.#logs = memory?.slice(0, count) ?? new Float64Array(count);
    this.#boosted = new BoostedEvidence(memory?.[count]);
    this.#strata = memory?.[count + 1] ?? 0;
  }

  /** `logCap`: logarithm of the e-value at which all is decided. */
  add(stratum: RankedStratum, logCap = Infinity): void {
    const { tilts, weights } = this.#tilts;
    const before = logWeightedSum(this.#logs, weights);
    const logRatios = tilts.map((tilt) => logTiltRatio({ ...stratum, tilt }));
    for (const [i, logRatio] of logRatios.entries()) this.#logs[i] = (this.#logs[i] ?? 0) + logRatio;
    const logTerms = weights.map((weight, i) => Math.log(weight) + (this.#logs[i] ?? 0) - before);
    const logFactor = logSum(logTerms);
    const place = this.#strata++;
    this.#boosted.add({
      logFactor,
      logCap,
      outcomes: (gap) => relabellings({ stratum, tilts, logTerms, logCap: gap, place }),
    });
  }

  /** Natural logarithm of the e-value. */
  get logEvidence(): number {
    return this.#boosted.log;
  }

  /** Everything it goes on from; always as long. */
  get memory(): Float64Array {
    return Float64Array.of(...this.#logs, this.#boosted.log, this.#strata);
  }
}

function tableSize({ baseline, canary }: SampleTable): number {
  return baseline.reduce((sum, count, i) => sum + count + (canary[i] ?? 0), 0);
}
