import { timestampMs } from "@bufbuild/protobuf/wkt";
import { VerdictKind } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { verdictMessage } from "../verdict-message.ts";
import { createJudge } from "./judge.ts";
import type { JudgeOptions, JudgeWindow } from "./judge-types.ts";

const window = (weight: number, baseline: [number, number], canary: [number, number]): JudgeWindow => ({
  seconds: 1,
  weight,
  baseline: { requests: baseline[0], errors: baseline[1] },
  canary: { requests: canary[0], errors: canary[1] },
});

const arm = fc
  .tuple(fc.nat(200), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([requests, part]) => ({ requests, errors: Math.floor(requests * part) }));
const anyWindow: fc.Arbitrary<JudgeWindow> = fc.record({
  seconds: fc.constant(1),
  weight: fc.double({ min: 0, max: 1, noNaN: true }),
  baseline: arm,
  canary: arm,
});

test("no traffic is no evidence", () => {
  const judge = createJudge();
  for (let i = 0; i < 100; i++) {
    expect(judge.observe(window(0.1, [0, 0], [0, 0]))).toMatchObject({ verdict: "continue", evidence: 1, effect: 1 });
  }
});

test.each([0, 1])("traffic on one arm alone (share %i) is no evidence", (weight) => {
  const judge = createJudge();
  const verdict = judge.observe(window(weight, [0, 0], [1000, 1000]));
  expect(verdict).toMatchObject({ verdict: "continue", evidence: 1 });
});

test("a canary that fails far more often is rolled back, for good, with the numbers in the reason", () => {
  const judge = createJudge();
  const verdict = judge.observe(window(0.1, [900, 9], [100, 20]));
  expect(verdict.verdict).toBe("rollback");
  expect(verdict.evidence).toBeGreaterThan(100);
  expect(verdict.effect).toBeCloseTo(20, 9);
  expect(verdict.reason).toContain("20 errors in 100 requests against 9 in 900");
  expect(judge.observe(window(0.1, [9000, 900], [1000, 0])).verdict).toBe("rollback");
});

test("a canary that is as good passes in the end; the rollback verdict needs what it says it needs", () => {
  const judge = createJudge();
  let verdict = judge.verdict();
  for (let i = 0; i < 400; i++) verdict = judge.observe(window(0.5, [100, 5], [100, 5]));
  expect(verdict.verdict).toBe("pass");
  expect(verdict.reason).toContain("1.5 times");
});

test("the forecast falls as evidence gathers", () => {
  const judge = createJudge();
  const first = judge.observe(window(0.1, [900, 9], [100, 2]));
  const second = judge.observe(window(0.1, [900, 9], [100, 4]));
  expect(first.moreRequests).toBeGreaterThan(0);
  expect(second.moreRequests).toBeLessThan(first.moreRequests ?? 0);
});

test("counts that cannot be are ignored", () => {
  const judge = createJudge();
  const verdict = judge.observe(window(0.1, [10, 0], [10, 1_000_000]));
  expect(verdict).toMatchObject({ verdict: "continue", evidence: 1 });
  expect(verdict.reason).toContain("ignored");
});

test("a restored judge goes on exactly like the one that was saved", () => {
  fc.assert(
    fc.property(fc.array(anyWindow, { maxLength: 12 }), fc.array(anyWindow, { maxLength: 12 }), (before, after) => {
      const judge = createJudge();
      for (const seen of before) judge.observe(seen);
      const restored = createJudge({ state: judge.state() });
      expect(restored.verdict()).toEqual(judge.verdict());
      for (const seen of after) expect(restored.observe(seen)).toEqual(judge.observe(seen));
    }),
  );
});

test("evidence is never NaN and rollback is never taken back", () => {
  fc.assert(
    fc.property(fc.array(anyWindow, { maxLength: 30 }), (windows) => {
      const judge = createJudge();
      let rolledBack = false;
      for (const seen of windows) {
        const verdict = judge.observe(seen);
        expect(verdict.evidence).toBeGreaterThanOrEqual(0);
        if (rolledBack) expect(verdict.verdict).toBe("rollback");
        rolledBack ||= verdict.verdict === "rollback";
      }
    }),
  );
});

test.each<JudgeOptions>([
  { alpha: 1 },
  { alpha: -1 },
  { alpha: Number.NaN, margin: 0 },
  { labelMargin: 1 },
  { shares: { errors: 0 } },
  { metrics: [{ kind: "events", name: "latency" }] },
  { metrics: [{ kind: "bounded", name: "score", low: 1, high: 1, worse: "lower" }] },
])("options out of range are rejected: %j", (options) => {
  expect(() => createJudge(options)).toThrow(expect.objectContaining({ reason: "INVALID_OPTION" }));
});

test("bytes that are no state are rejected", () => {
  const state = createJudge().state();
  const otherMargin = createJudge({ margin: 0.2 }).state();
  const otherMetrics = createJudge({ metrics: [{ kind: "events", name: "restarts" }] }).state();
  const foreign = [otherMargin, otherMetrics, new Uint8Array(7), state.with(0, 9), state.slice(0, -1)];
  for (const bytes of [...foreign, Uint8Array.from([...state, 0, 0])]) {
    expect(() => createJudge({ state: bytes })).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
  }
});

test("a verdict as a message keeps its numbers", () => {
  const message = verdictMessage(createJudge().observe(window(0.1, [900, 9], [100, 20])), 1_700_000_000_000);
  expect(message).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "errors" });
  expect(message.at && timestampMs(message.at)).toBe(1_700_000_000_000);
});
