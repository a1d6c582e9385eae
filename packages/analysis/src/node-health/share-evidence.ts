import { logWeightedSum, normalised } from "../evidence/log-mean.ts";

/** How many times more likely to fail a node may be; a mixture, so that none has to be chosen. */
const FACTORS = [2, 4, 8, 16, 64, 256];
const WEIGHTS = normalised(FACTORS.map(() => 1));

/** Failures of one workload: the part of the exposure that a node has, how many failed there, and how many in all. */
export interface FailureShare {
  readonly share: number;
  readonly here: number;
  readonly all: number;
}

/**
 * Logarithm of an e-value for "the node fails more often than the others": given how many failed in all, each failure is the
 * node's with the chance of its share of the exposure if it is like the others, and with that of its share times the factor
 * if it is worse. The node's count is then binomial if failures come by time, hypergeometric if by trials; Hoeffding
 * (1963, theorem 4) bounds the second's moments by the first's, so that the mean is at most 1 in both cases. 0 when there
 * is nothing to compare with.
 */
export function logShareEvidence({ share, here, all }: FailureShare): number {
  if (all === 0 || share <= 0 || share >= 1) return 0;
  const logs = FACTORS.map((factor) => here * Math.log(factor) - all * Math.log1p(share * (factor - 1)));
  return logWeightedSum(logs, WEIGHTS);
}
