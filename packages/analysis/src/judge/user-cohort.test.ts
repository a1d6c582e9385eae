import { expect, test } from "vitest";
import { createJudge } from "./judge.ts";
import { UserCohort, type UserRequest } from "./user-cohort.ts";

const request = (user: string, arm: "baseline" | "canary", more: Partial<UserRequest> = {}): UserRequest => ({
  user,
  arm,
  isFailed: false,
  latencyMs: 10,
  ...more,
});
const windowOf = (requests: UserRequest[]) => ({ seconds: 1, weight: 0.5, requests });

test("a user counts once, as failed if any request of his first window failed, with his mean latency", () => {
  const cohort = new UserCohort();
  const first = cohort.window(
    windowOf([
      request("ada", "canary", { label: "cat" }),
      request("ada", "canary", { isFailed: true, latencyMs: 30, label: "dog" }),
      request("bob", "baseline"),
    ]),
  );
  expect(first.canary).toEqual({ requests: 1, errors: 1, latencyMs: [20], predictions: { cat: 1 } });
  expect(first.baseline).toEqual({ requests: 1, errors: 0, latencyMs: [10] });
  const later = cohort.window(windowOf([request("ada", "canary", { isFailed: true }), request("bob", "canary")]));
  expect(later.canary.requests + later.baseline.requests).toBe(0);
  const restored = new UserCohort(cohort.state());
  expect(restored.window(windowOf([request("ada", "canary")])).canary.requests).toBe(0);
});

test("of distinct users the new ones count, and those on both arms do not", () => {
  const cohort = new UserCohort();
  const window = {
    seconds: 1,
    weight: 0.5,
    baseline: { users: [1, 2, 3], failed: [3] },
    canary: { users: [3, 4], failed: [4] },
  };
  expect(cohort.distinctWindow(window)).toMatchObject({
    baseline: { requests: 2, errors: 0 },
    canary: { requests: 1, errors: 1 },
  });
  const again = cohort.distinctWindow({ ...window, baseline: { users: [2, 5], failed: [5] } });
  expect(again).toMatchObject({ baseline: { requests: 1, errors: 1 }, canary: { requests: 0, errors: 0 } });
});

test("one user who always fails is no evidence, though his requests would be", () => {
  const judge = createJudge({ unit: "user" });
  const cohort = new UserCohort();
  for (let window = 0; window < 50; window++) {
    const requests = Array.from({ length: 20 }, () => request("unlucky", "canary", { isFailed: true }));
    for (let i = 0; i < 20; i++) {
      requests.push(request(`user ${window}.${i}`, i % 2 === 0 ? "canary" : "baseline"));
    }
    judge.observe(cohort.window(windowOf(requests)));
  }
  expect(judge.verdict().verdict).not.toBe("rollback");
  expect(judge.verdict().reason).toContain("users");
});

test("a canary that fails for more of its users is rolled back", () => {
  const judge = createJudge({ unit: "user" });
  const cohort = new UserCohort();
  for (let window = 0; window < 50; window++) {
    const requests = Array.from({ length: 40 }, (_, i) =>
      request(`user ${window}.${i}`, i % 2 === 0 ? "canary" : "baseline", { isFailed: i % 8 === 0 }),
    );
    judge.observe(cohort.window(windowOf(requests)));
  }
  expect(judge.verdict()).toMatchObject({ verdict: "rollback", metric: "errors" });
});

/** Windows of users who come back again and again, split by chance; a tenth of them always fails, on either arm. */
function returningUsers(random: () => number, users: number) {
  const arms = Array.from({ length: users }, () => random() < 0.3);
  const fails = Array.from({ length: users }, () => random() < 0.1);
  return () => {
    const seen = Array.from({ length: 60 }, () => Math.floor(random() * users));
    const armOf = (isCanary: boolean) => {
      const here = seen.filter((user) => arms[user] === isCanary);
      return { users: here, failed: here.filter((user) => fails[user]) };
    };
    return { seconds: 1, weight: 0.3, baseline: armOf(false), canary: armOf(true) };
  };
}

test("a judge of users that goes on after restarts counts nobody twice and keeps its level; one that counts anew does not", () => {
  const trials = 60;
  const alpha = 0.05;
  const rollbacks = (keepsUsers: boolean): number => {
    let rolledBack = 0;
    for (let trial = 0; trial < trials; trial++) {
      const next = returningUsers(mulberry32(trial), 400);
      let judge = createJudge({ unit: "user", alpha });
      let cohort = new UserCohort();
      for (let restart = 0; restart < 15; restart++) {
        for (let i = 0; i < 20; i++) judge.observe(cohort.distinctWindow(next()));
        judge = createJudge({ unit: "user", alpha, state: judge.state() });
        cohort = keepsUsers ? new UserCohort(cohort.state()) : new UserCohort();
      }
      if (judge.verdict().verdict === "rollback") rolledBack++;
    }
    return rolledBack;
  };
  // Three standard errors above alpha.
  expect(rollbacks(true) / trials).toBeLessThan(alpha + 3 * Math.sqrt((alpha * (1 - alpha)) / trials));
  expect(rollbacks(false)).toBeGreaterThan(rollbacks(true));
});

test("most users who are new are still counted after a restart", () => {
  const cohort = new UserCohort();
  const window = (from: number, count: number) => {
    const users = Array.from({ length: count }, (_, i) => from + i);
    return { seconds: 1, weight: 0.5, baseline: { users, failed: [] }, canary: { users: [], failed: [] } };
  };
  expect(cohort.distinctWindow(window(0, 10_000)).baseline.requests).toBe(10_000);
  const restored = new UserCohort(cohort.state());
  expect(restored.distinctWindow(window(0, 10_000)).baseline.requests).toBe(0);
  const fresh = restored.distinctWindow(window(1_000_000, 10_000)).baseline.requests;
  expect(fresh / 10_000).toBeCloseTo(Math.exp(-10_000 / 65_536), 1);
});

/** A small generator with a seed (Tommy Ettinger's mulberry32). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
