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
  const restored = new UserCohort(cohort.known);
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
