import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Comparison,
  GateJobSchema,
  type GateResult,
  type GateRuleSchema,
  type Job,
  JobSchema,
  JobSpecSchema,
  JobState,
  RunSchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { type BaselineLookup, evaluateGate, planGates, withPlannedGates } from "./gate.ts";

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

const relative = {
  ...{ metric: "accuracy", comparison: Comparison.AT_LEAST, threshold: -0.01 },
  baseline: { model: "vad", version: "promoted" },
};
const absolute = { metric: "latency", comparison: Comparison.AT_MOST, threshold: 5 };

test("before a gate is looked at it says what it would hold values against now", () => {
  const work = { case: "gate" as const, value: { rules: [absolute, relative] } };
  const run = create(RunSchema, { jobs: [{ spec: { name: "quality", work }, state: JobState.WAITING }] });
  const shown = withPlannedGates(run, () => 0.5);
  expect(shown.jobs[0]?.gateResults).toMatchObject([
    { pending: true, passed: false, threshold: 5, message: "latency must be at most 5" },
    {
      ...{ pending: true, passed: false, threshold: 0.49 },
      message: "accuracy must be at least 0.49: vad:promoted has 0.5, -0.01",
    },
  ]);
  expect(run.jobs[0]?.gateResults).toEqual([]);
  const none = withPlannedGates(run, () => undefined).jobs[0]?.gateResults[1];
  expect(none?.message).toBe("any accuracy passes: nothing to compare with, vad:promoted has no such metric");
});

test("what a gate saw is not replaced by a plan", () => {
  const work = { case: "gate" as const, value: { rules: [absolute] } };
  const run = create(RunSchema, { jobs: [{ spec: { name: "quality", work }, state: JobState.FAILED }] });
  expect(withPlannedGates(run, () => 1)).toBe(run);
});

test("plans tell of gates and of gates among steps", () => {
  const step = { name: "gate-1", action: { case: "gate" as const, value: { rules: [relative] } } };
  const work = { case: "steps" as const, value: { steps: [step] } };
  const plans = planGates(
    [create(JobSpecSchema, { name: "train", work }), create(JobSpecSchema, { name: "x" })],
    () => 2,
  );
  expect(plans).toMatchObject({ train: { rules: [{ baseline: 2, threshold: 1.99 }] } });
  expect(Object.keys(plans)).toEqual(["train"]);
});
