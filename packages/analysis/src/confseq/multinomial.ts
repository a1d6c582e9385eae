import { logGamma } from "../evidence/incomplete-gamma.ts";

/**
 * Logarithm of the e-value of counts against known shares: a Dirichlet mixture around them, worth `concentration` counts.
 * Source: Lindon and Malek, NeurIPS 2022.
 */
export function logMultinomialEvidence(
  counts: readonly number[],
  shares: readonly number[],
  concentration: number,
): number {
  let log = logGamma(concentration) - logGamma(concentration + counts.reduce((sum, count) => sum + count, 0));
  for (const [i, count] of counts.entries()) {
    const share = shares[i] ?? 0;
    log += logGamma(concentration * share + count) - logGamma(concentration * share) - count * Math.log(share);
  }
  return log;
}
