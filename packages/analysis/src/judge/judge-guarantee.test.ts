import fc from "fast-check";
import { expect, test } from "vitest";
import { createJudge } from "./judge.ts";
import type { ArmWindow, JudgeWindow } from "./judge-types.ts";

/** Reproducible uniform numbers (a linear congruential generator, as in Numerical Recipes). */
function uniforms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Traffic {
  readonly uniform: () => number;
  readonly weight: number;
  readonly baselineRate: number;
  readonly canaryRate: number;
  readonly slower: number;
}

function trafficWindow({ uniform, weight, baselineRate, canaryRate, slower }: Traffic): JudgeWindow {
  const arms = [0, 1].map(() => ({ requests: 0, errors: 0, latencies: [] as number[], yes: 0 }));
  for (let i = 0; i < 60; i++) {
    const isCanary = uniform() < weight;
    const arm = arms[isCanary ? 1 : 0];
    if (arm === undefined) continue;
    arm.requests++;
    if (uniform() < (isCanary ? canaryRate : baselineRate)) arm.errors++;
    arm.latencies.push((10 * (isCanary ? slower : 1)) / (0.05 + uniform()));
    if (uniform() < 0.3) arm.yes++;
  }
  const [baseline, canary] = arms.map(
    ({ requests, errors, latencies, yes }): ArmWindow => ({
      requests,
      errors,
      latencyMs: latencies,
      predictions: { yes, no: requests - yes },
    }),
  );
  const none: ArmWindow = { requests: 0, errors: 0 };
  return { seconds: 0.25, weight, baseline: baseline ?? none, canary: canary ?? none };
}

/** Whether a judge ever rolls back within 30 windows. */
function isRolledBack(alpha: number, traffic: Traffic): boolean {
  const judge = createJudge({ alpha });
  return Array.from({ length: 30 }, () => judge.observe(trafficWindow(traffic)).verdict).includes("rollback");
}

// At alpha = 0.1 more than 12 of 40 false alarms would come by chance once in several thousand such tests.
test.each([
  ["alike", 0.1, 0.1, 1],
  ["better", 0.1, 0.05, 0.8],
  ["without errors", 0, 0, 1],
] as const)(
  "a canary that is %s is rolled back with a chance of at most alpha, watched after every window",
  (_name, b, c, slower) => {
    let falseAlarms = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const uniform = uniforms(seed * 7919);
      if (isRolledBack(0.1, { uniform, weight: 0.2, baselineRate: b, canaryRate: c, slower })) falseAlarms++;
    }
    expect(falseAlarms).toBeLessThanOrEqual(12);
  },
);

test("a canary that is twice as bad is found from any seed", () => {
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom("errors", "latency"), (seed, what) => {
      const traffic = { uniform: uniforms(seed), weight: 0.5, baselineRate: 0.15, canaryRate: 0.15, slower: 1 };
      const worse = what === "errors" ? { ...traffic, canaryRate: 0.4 } : { ...traffic, slower: 2 };
      expect(isRolledBack(0.01, worse)).toBe(true);
    }),
    { numRuns: 12 },
  );
});

test("evidence against shuffled arms has a mean of at most 1", () => {
  const uniform = uniforms(99);
  let total = 0;
  const count = 600;
  for (let i = 0; i < count; i++) {
    const judge = createJudge();
    const traffic = { uniform, weight: 0.3, baselineRate: 0.2, canaryRate: 0.2, slower: 1 };
    total += judge.observe(trafficWindow(traffic)).evidence;
  }
  expect(total / count).toBeGreaterThan(0.5);
  expect(total / count).toBeLessThan(1.3);
});
