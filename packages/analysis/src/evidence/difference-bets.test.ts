import { describe, expect, test } from "vitest";
import type { Moments } from "./bernstein-bets.ts";
import { DifferenceBets } from "./difference-bets.ts";

type Draw = (random: () => number, at: number) => number;

/** Mulberry32, so that a run is the same each time. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function momentsOf(count: number, draw: () => number): Moments {
  const sums = { count, sum: 0, sumSquares: 0 };
  for (let i = 0; i < count; i++) {
    const value = draw();
    sums.sum += value;
    sums.sumSquares += value * value;
  }
  return sums;
}

/** Values until the evidence is 1 to alpha, Infinity when it never is. Each value goes to the canary by chance. */
function valuesNeeded(
  draws: { old: Draw; fresh: Draw },
  { seed, size, strata, alpha }: { seed: number; size: number; strata: number; alpha: number },
): number {
  const random = randomOf(seed);
  const bets = new DifferenceBets();
  for (let at = 1; at <= strata; at++) {
    const canary = Array.from({ length: size }, () => random() < 0.3).filter(Boolean).length;
    bets.add(
      momentsOf(size - canary, () => draws.old(random, at)),
      momentsOf(canary, () => draws.fresh(random, at)),
    );
    if (bets.logEvidence >= Math.log(1 / alpha)) return at * size;
  }
  return Infinity;
}

/** Uniform around a middle. */
const around =
  (middle: number, radius: number): Draw =>
  (random) =>
    middle + radius * (2 * random() - 1);
const coin =
  (chance: number): Draw =>
  (random) =>
    random() < chance ? 1 : 0;

describe("evidence on bounded values", () => {
  test.each<[string, Draw]>([
    ["coins", coin(0.5)],
    ["rare ones", coin(0.02)],
    ["close to each other", around(0.8, 0.1)],
    ["drifting", (random, at) => 0.5 + 0.4 * Math.sin(at / 7) + 0.05 * random()],
  ])("arms alike are told apart no more often than alpha says: %s", (_, draw) => {
    const alpha = 0.1;
    const runs = 150;
    for (const size of [20, 120]) {
      const wrong = Array.from({ length: runs }, (_unused, seed) =>
        valuesNeeded({ old: draw, fresh: draw }, { seed: seed + 1, size, strata: 6_000 / size, alpha }),
      ).filter(Number.isFinite).length;
      expect(wrong).toBeLessThan(alpha * runs + 3 * Math.sqrt(alpha * runs));
    }
  });

  test.each([
    { old: 0.2, fresh: 0.5, radius: 0.1, most: 480 },
    { old: 0.2, fresh: 0.25, radius: 0.1, most: 1_200 },
    { old: 0.2, fresh: 0.21, radius: 0.02, most: 4_000 },
  ])("large strata cost little: $old to $fresh within $radius", ({ old, fresh, radius, most }) => {
    const needed = Array.from({ length: 20 }, (_, seed) =>
      valuesNeeded(
        { old: around(old, radius), fresh: around(fresh, radius) },
        { seed: seed + 1, size: 120, strata: 400, alpha: 0.01 },
      ),
    );
    expect(Math.max(...needed)).toBeLessThanOrEqual(most);
  });

  test("a better canary is no evidence, and memory goes on as the first would have", () => {
    const needed = valuesNeeded(
      { old: around(0.5, 0.1), fresh: around(0.4, 0.1) },
      { seed: 1, size: 50, strata: 500, alpha: 0.9 },
    );
    expect(needed).toBe(Infinity);
    const stratum = [
      { count: 9, sum: 5, sumSquares: 4 },
      { count: 5, sum: 4, sumSquares: 3.5 },
    ] as const;
    const bets = new DifferenceBets();
    bets.add(...stratum);
    const resumed = new DifferenceBets(bets.memory);
    for (const each of [bets, resumed]) each.add(...stratum);
    expect(resumed.logEvidence).toBe(bets.logEvidence);
  });
});
