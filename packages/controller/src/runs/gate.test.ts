import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Comparison, GateJobSchema, type GateResult, type GateRuleSchema, type Job, JobSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { type BaselineLookup, evaluateGate } from "./gate.ts";

const job = (name: string, metrics: Record<string, number>): Job => create(JobSchema, { spec: { name }, metrics });
const train = job("train", { accuracy: 0.9, latency: 20 });
const trial = job("test", { accuracy: 0.8, broken: Number.NaN });

function evaluate(
  rule: MessageInitShape<typeof GateRuleSchema>,
  baseline: BaselineLookup = () => undefined,
): GateResult {
  const gate = create(GateJobSchema, { rules: [rule] });
  const [result] = evaluateGate(gate, { needed: [trial], all: [train, trial] }, baseline);
  if (result === undefined) throw new Error("a rule gave no result");
  return result;
}

test("both comparisons include the threshold itself", () => {
  const accuracy = { metric: "accuracy", threshold: 0.8 };
  expect(evaluate({ ...accuracy, comparison: Comparison.AT_LEAST })).toMatchObject({ passed: true, value: 0.8 });
  expect(evaluate({ ...accuracy, comparison: Comparison.AT_MOST }).passed).toBe(true);
  expect(evaluate({ ...accuracy, threshold: 0.81, comparison: Comparison.AT_LEAST }).passed).toBe(false);
  expect(evaluate({ ...accuracy, threshold: 0.79, comparison: Comparison.AT_MOST }).passed).toBe(false);
});

test("a rule looks at the jobs the gate needs, or at the one it names", () => {
  const rule = { metric: "latency", comparison: Comparison.AT_MOST, threshold: 30 };
  expect(evaluate(rule)).toMatchObject({ passed: false, message: 'no job reported a metric "latency"' });
  expect(evaluate({ ...rule, job: "train" })).toMatchObject({ passed: true, value: 20 });
  expect(evaluate({ ...rule, job: "nobody" }).passed).toBe(false);
});

test("a metric that is no number, and the name of an object's own function, pass nothing", () => {
  for (const metric of ["broken", "toString", "__proto__"]) {
    for (const comparison of [Comparison.AT_LEAST, Comparison.AT_MOST]) {
      expect(evaluate({ metric, comparison, threshold: 0 }).passed).toBe(false);
    }
  }
});

test("a baseline moves the threshold; without one there is nothing to fall short of", () => {
  const rule = {
    metric: "accuracy",
    comparison: Comparison.AT_LEAST,
    threshold: -0.05,
    baseline: { model: "voice", version: "promoted" },
  };
  const asked: string[][] = [];
  const result = evaluate(rule, (...names) => {
    asked.push(names);
    return 0.9;
  });
  expect(asked).toEqual([["voice", "promoted", "accuracy"]]);
  expect(result).toMatchObject({ passed: false, message: expect.stringContaining("is not at least 0.85") });
  expect(evaluate(rule, () => 0.84).passed).toBe(true);
  expect(evaluate(rule)).toMatchObject({ passed: true, message: expect.stringContaining("nothing to compare with") });
});
