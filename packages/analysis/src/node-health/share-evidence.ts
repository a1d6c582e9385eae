import { hypergeometricLog, type Stratum } from "../evidence/hypergeometric.ts";
import { logWeightedSum, normalised } from "../evidence/log-mean.ts";

/** How many times more likely to fail a node may be; a mixture, so that none has to be chosen. */
const FACTORS = [2, 4, 8, 16, 64, 256];
const WEIGHTS = normalised(FACTORS.map(() => 1));

/** Failures that come with time: the part of the time that a node has, how many failed there, and how many in all. */
export interface FailureShare {
  readonly share: number;
  readonly here: number;
  readonly all: number;
}

/**
 * Logarithm of an e-value for "the node fails more often than the others", for failures that come with time: given how many
 * there were in all, each is the node's with the chance of its share of the time if it is like the others, and with more if
 * it is worse. 0 when there is nothing to compare with.
 */
export function logShareEvidence({ share, here, all }: FailureShare): number {
  if (all === 0 || share <= 0 || share >= 1) return 0;
  const logs = FACTORS.map((factor) => here * Math.log(factor) - all * Math.log1p(share * (factor - 1)));
  return logWeightedSum(logs, WEIGHTS);
}

/**
 * The same for trials that fail or do not, exactly: given how many failed in all, which of them are the node's (Fisher's
 * noncentral hypergeometric distribution against the central one). Trials that are repeated because they failed here do
 * not weaken it. `canary` is the node, `baseline` all the others. 0 when there is nothing to compare with.
 */
export function logTrialEvidence(stratum: Stratum): number {
  const { baselineTrials, canaryTrials, baselineHits, canaryHits } = stratum;
  if (baselineTrials <= 0 || canaryTrials <= 0 || baselineHits + canaryHits === 0) return 0;
  const like = hypergeometricLog(stratum, 0);
  const logs = FACTORS.map((factor) => hypergeometricLog(stratum, Math.log(factor)) - like);
  return logWeightedSum(logs, WEIGHTS);
}
