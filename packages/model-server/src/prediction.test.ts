import { describe, expect, it } from "vitest";
import { parseModelSettings } from "./model-settings.ts";
import { predictLabel, sanitiseLabel } from "./prediction.ts";

const outputs = (shape: number[], ...data: number[]) => ({
  y: { datatype: "FP32" as const, shape, data: Float32Array.from(data) },
});

describe("predictLabel", () => {
  const rule = { output: "y", labels: ["a", "b", "c"], threshold: 0.5 };
  it.each([
    ["the largest element", rule, outputs([1, 3], 0.1, 0.7, 0.2), "b"],
    ["the first row of a batch", rule, outputs([2, 3], 0.6, 0.3, 0.1, 0, 0, 1), "a"],
    ["the first of equals", rule, outputs([1, 3], 1, 1, 1), "a"],
    ["nothing when the labels do not fit", rule, outputs([1, 2], 0.1, 0.7), undefined],
    ["nothing for a missing output", { ...rule, output: "z" }, outputs([1, 3], 1, 2, 3), undefined],
    ["the first output by default", { ...rule, output: undefined }, outputs([3], 1, 2, 3), "c"],
    ["a score below the threshold", { ...rule, labels: ["no", "yes"] }, outputs([1, 1], 0.4), "no"],
    ["a score at the threshold", { ...rule, labels: ["no", "yes"] }, outputs([1, 1], 0.5), "yes"],
  ])("takes %s", (_name, given, answer, expected) => {
    expect(predictLabel(given, answer)).toBe(expected);
  });

  it("makes labels safe for a header", () => {
    expect(sanitiseLabel("a b\r\nset-cookie: x")).toBe("a_b__set-cookie__x");
    expect(sanitiseLabel("x".repeat(100))).toHaveLength(64);
    expect(sanitiseLabel("")).toBeUndefined();
  });
});

describe("parseModelSettings", () => {
  it("has defaults", () => {
    expect(parseModelSettings({})).toEqual({
      platform: "onnxruntime_onnx",
      warmUpInputs: undefined,
      warmUpRuns: 1,
      prediction: undefined,
      maxBatchSize: undefined,
      maxRequestBytes: undefined,
    });
  });

  it.each([
    [{ labels: "a" }, "labels: expected an array"],
    [{ prediction: { output: "y", labels: [1] } }, "labels[0]: expected a string"],
    [{ prediction: { threshold: "1", labels: [] } }, "prediction.threshold: expected a number"],
    [{ maxBatchSize: 0 }, "maxBatchSize: expected a whole number of at least 1, got 0"],
    [{ warmup: { inputs: { x: { shape: [-1] } } } }, "warmup.inputs.x.shape[0]: expected a size of at least 0"],
    [{ warmup: { times: 2 } }, 'warmup: expected only inputs, runs, got "times"'],
  ])("refuses %j", (document, message) => {
    expect(() => parseModelSettings(document)).toThrow(message);
  });
});
