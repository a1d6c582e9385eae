import { expect, test } from "vitest";
import type { ArmWindow, JudgeWindow } from "./judge-types.ts";
import { createThresholdJudge } from "./threshold-judge.ts";

const RULES = [
  { metric: "errors", max: 0.02, minRequests: 100, failures: 2 },
  { metric: "latency", max: 200, quantile: 0.9, minRequests: 50 },
];
const windowOf = (canary: ArmWindow): JudgeWindow => ({
  seconds: 1,
  weight: 0.1,
  baseline: { requests: 500, errors: 0 },
  canary,
});
const served = (requests: number, errors: number, latencyMs = 50): JudgeWindow =>
  windowOf({ requests, errors, latencyMs: Array.from({ length: requests }, () => latencyMs) });

test("limits are measured over enough requests, fail in a row, and a rollback is final", () => {
  const judge = createThresholdJudge({ rules: RULES });
  expect(judge.observe(served(60, 60)).verdict).toBe("continue");
  expect(judge.observe(served(60, 0)).verdict).toBe("continue");
  const verdict = judge.observe(served(100, 5));
  expect(verdict).toMatchObject({ verdict: "rollback", metric: "errors", effect: 2.5 });
  expect(verdict.reason).toContain("at most 0.02");
  for (let i = 0; i < 20; i++) expect(judge.observe(served(100, 0)).verdict).toBe("rollback");
});

test("a failure that does not last starts the count again; enough good measurements pass", () => {
  const judge = createThresholdJudge({ rules: RULES, passes: 3 });
  judge.observe(served(100, 50));
  judge.observe(served(100, 0));
  judge.observe(served(100, 50));
  expect(judge.verdict().verdict).toBe("continue");
  for (let i = 0; i < 3; i++) judge.observe(served(100, 0));
  expect(judge.verdict().verdict).toBe("pass");
});

test("latency is measured at its quantile", () => {
  const judge = createThresholdJudge({ rules: RULES });
  expect(judge.observe(served(60, 0, 300))).toMatchObject({ verdict: "rollback", metric: "latency", effect: 1.5 });
});

test("without traffic nothing is measured", () => {
  const judge = createThresholdJudge({ rules: RULES });
  for (let i = 0; i < 100; i++) judge.observe(windowOf({ requests: 0, errors: 0 }));
  expect(judge.verdict()).toMatchObject({ verdict: "continue", evidence: 1 });
  expect(judge.verdict().reason).toContain("not measured yet");
});

test("metrics of the user's are measured by their kind", () => {
  const metrics = [
    { kind: "events", name: "restarts" },
    { kind: "bounded", name: "score", low: 0, high: 1, worse: "lower" },
  ] as const;
  const judge = createThresholdJudge({
    rules: [
      { metric: "restarts", max: 0.01 },
      { metric: "score", min: 0.5 },
    ],
    metrics,
  });
  judge.observe(
    windowOf({ requests: 100, errors: 0, metrics: { restarts: { events: 0, exposure: 100 }, score: [0.4, 0.4] } }),
  );
  expect(judge.verdict()).toMatchObject({ verdict: "rollback", metric: "score" });
});

test("a restored judge goes on", () => {
  const judge = createThresholdJudge({ rules: RULES });
  judge.observe(served(100, 50));
  judge.observe(served(60, 60));
  const restored = createThresholdJudge({ rules: RULES, state: judge.state() });
  expect(restored.verdict()).toEqual(judge.verdict());
  expect(restored.observe(served(60, 60))).toEqual(judge.observe(served(60, 60)));
  expect(createThresholdJudge({ rules: RULES, state: judge.state() }).verdict().verdict).toBe("rollback");
  expect(() => createThresholdJudge({ rules: RULES.slice(1), state: judge.state() })).toThrow(
    expect.objectContaining({ reason: "INVALID_FIELD" }),
  );
});

test("rules without a limit are rejected", () => {
  for (const rules of [[], [{ metric: "errors" }]]) {
    expect(() => createThresholdJudge({ rules })).toThrow(expect.objectContaining({ reason: "INVALID_OPTION" }));
  }
});
