import fc from "fast-check";
import { expect, test } from "vitest";
import { BoostedEvidence, logBoost } from "./boosted-evidence.ts";
import { hypergeometricLog, type Stratum } from "./hypergeometric.ts";
import { RankEvidence } from "./rank-test.ts";
import { LARGER, LEVELS } from "./rank-tilts.ts";
import { RatioCurve } from "./ratio-curve.ts";
import { ratioGrid } from "./ratio-grid.ts";

const GRID = ratioGrid(20, 0.5, true);
const anyStratum: fc.Arbitrary<Stratum> = fc
  .record({ canaryTrials: fc.integer({ min: 1, max: 40 }), baselineTrials: fc.integer({ min: 1, max: 150 }) })
  .chain((trials) =>
    fc.record({
      ...{ canaryTrials: fc.constant(trials.canaryTrials), baselineTrials: fc.constant(trials.baselineTrials) },
      ...{ canaryHits: fc.nat(trials.canaryTrials), baselineHits: fc.nat(trials.baselineTrials) },
    }),
  );

/** Chance of each number of the canary's hits at an odds ratio, in the order of a curve's outcomes. */
function chancesAt({ canaryTrials, baselineTrials, canaryHits, baselineHits }: Stratum, logOdds: number): number[] {
  const hits = canaryHits + baselineHits;
  const lowest = Math.max(0, hits - baselineTrials);
  const count = Math.min(hits, canaryTrials) - lowest + 1;
  const chances = Array.from({ length: count }, (_, i) => {
    const ours = lowest + i;
    return Math.exp(
      hypergeometricLog({ canaryTrials, baselineTrials, canaryHits: ours, baselineHits: hits - ours }, logOdds),
    );
  });
  const total = chances.reduce((sum, chance) => sum + chance, 0);
  return chances.map((chance) => chance / total);
}

test("outcomes have their chances, and the one that came has the factor that the evidence takes", () => {
  fc.assert(
    fc.property(anyStratum, anyStratum, (before, stratum) => {
      const curve = new RatioCurve(GRID);
      curve.addStratum(before);
      const outcomes = curve.outcomes(stratum, 1000);
      const chances = chancesAt(stratum, 0);
      expect(outcomes?.chances).toHaveLength(chances.length);
      for (const [i, chance] of chances.entries()) expect(outcomes?.chances[i]).toBeCloseTo(chance, 8);
      const logBefore = curve.logWorse;
      curve.addStratum(stratum);
      const came = stratum.canaryHits - Math.max(0, stratum.canaryHits + stratum.baselineHits - stratum.baselineTrials);
      expect(Math.log(outcomes?.factors[came] ?? 0)).toBeCloseTo(curve.logWorse - logBefore, 6);
    }),
  );
});

test("capped and boosted evidence has mean 1 at even odds, less where the canary is better, and never passes the cap", () => {
  const logCap = fc.double({ min: 0.1, max: 4.9, noNaN: true });
  fc.assert(
    fc.property(anyStratum, logCap, fc.double({ min: 0, max: 3, noNaN: true }), (stratum, cap, better) => {
      const curve = new RatioCurve(GRID);
      const outcomes = curve.outcomes(stratum, 1000);
      if (outcomes === undefined) throw new Error("too many outcomes");
      const values = Array.from(outcomes.factors, (factor) => {
        const evidence = new BoostedEvidence();
        evidence.add({ logFactor: Math.log(factor), logCap: cap, outcomes: () => outcomes });
        return Math.exp(evidence.log);
      });
      const meanAt = (logOdds: number): number =>
        chancesAt(stratum, logOdds).reduce((sum, chance, i) => sum + chance * (values[i] ?? 0), 0);
      expect(meanAt(0)).toBeCloseTo(1, 5);
      expect(meanAt(-better)).toBeLessThanOrEqual(1 + 1e-6);
      for (const value of values) expect(value).toBeLessThanOrEqual(Math.exp(cap) * (1 + 1e-6));
      for (const [i, value] of values.entries()) expect(value).toBeGreaterThanOrEqual((values[i - 1] ?? 0) - 1e-9);
    }),
  );
});

test("nothing is boosted that nothing can be won by", () => {
  expect(logBoost({ chances: [1], factors: [1] }, 3)).toBeCloseTo(0, 9);
  const far = new BoostedEvidence();
  far.add({
    logFactor: 0.5,
    logCap: 100,
    outcomes: () => {
      throw new Error("asked far from the cap");
    },
  });
  expect(far.log).toBe(0.5);
});

test("ranks: the boosted evidence of all labellings of a stratum has a mean of about 1", () => {
  const levels = [1, 4, 9, 14, 19, 24, 26, 28];
  let total = 0;
  let count = 0;
  for (let place = 0; place < 20; place++) {
    for (let set = 0; set < 256; set++) {
      const stratum = labelled(levels, set);
      if (stratum.canary.reduce((sum, ours) => sum + ours, 0) !== 3) continue;
      const evidence = new RankEvidence(LARGER, new RankEvidence(LARGER).memory.with(-1, place));
      evidence.add(stratum, Math.log(2));
      expect(evidence.logEvidence).toBeLessThanOrEqual(Math.log(2) + 1e-6);
      total += Math.exp(evidence.logEvidence);
      count++;
    }
  }
  expect(count).toBe(20 * 56);
  expect(total / count).toBeGreaterThan(0.95);
  expect(total / count).toBeLessThan(1.05);
});

/** A request at each level, of which those in the set's bits are the canary's. */
function labelled(levels: readonly number[], set: number): { pooled: Float64Array; canary: Float64Array } {
  const pooled = new Float64Array(LEVELS);
  const canary = new Float64Array(LEVELS);
  for (const [i, level] of levels.entries()) {
    pooled[level] = 1;
    canary[level] = (set >> i) & 1;
  }
  return { pooled, canary };
}
