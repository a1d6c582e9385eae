import type { Stratum } from "../evidence/hypergeometric.ts";

const PRIOR = 0.18;

/**
 * Two-sample e-process of hits by blocks, each tested against the alternative that the blocks before it suggest.
 * Source: Turner, Ly and Grünwald, JSPI 2024. Kept as the yardstick that the stratified test is compared with.
 */
export class BlockTest {
  #logEvidence = 0;
  #baseline = { hits: PRIOR, misses: PRIOR };
  #canary = { hits: PRIOR, misses: PRIOR };

  add({ baselineTrials, canaryTrials, baselineHits, canaryHits }: Stratum): void {
    const ours = this.#canary.hits / (this.#canary.hits + this.#canary.misses);
    const theirs = this.#baseline.hits / (this.#baseline.hits + this.#baseline.misses);
    const pooled = (canaryTrials * ours + baselineTrials * theirs) / (canaryTrials + baselineTrials);
    this.#logEvidence +=
      logRatio(canaryHits, canaryTrials - canaryHits, ours / pooled, (1 - ours) / (1 - pooled)) +
      logRatio(baselineHits, baselineTrials - baselineHits, theirs / pooled, (1 - theirs) / (1 - pooled));
    this.#canary.hits += canaryHits;
    this.#canary.misses += canaryTrials - canaryHits;
    this.#baseline.hits += baselineHits;
    this.#baseline.misses += baselineTrials - baselineHits;
  }

  get logEvidence(): number {
    return this.#logEvidence;
  }
}

function logRatio(hits: number, misses: number, ifHit: number, ifMiss: number): number {
  return hits * Math.log(ifHit) + misses * Math.log(ifMiss);
}
