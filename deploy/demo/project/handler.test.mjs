import assert from "node:assert/strict";
import { test } from "node:test";
import { frame, request } from "./frames.mjs";
import { predict } from "./model/handler.mjs";

/** A model that hears what it is told to hear, and what the handler made of it. */
function listener(score) {
  const seen = { labels: [], inputs: [] };
  const context = {
    infer: async (inputs) => {
      seen.inputs.push(inputs);
      const state = { datatype: "FP32", shape: [2, 1, 128], data: new Float32Array(256) };
      return { output: { datatype: "FP32", shape: [1, 1], data: Float32Array.of(score) }, stateN: state };
    },
    label: (name) => seen.labels.push(name),
    reject: (message) => {
      throw new Error(message);
    },
  };
  return { seen, context };
}

test("a frame the model hears speech in is labelled speech", async () => {
  const { seen, context } = listener(0.9);
  await predict(request(frame(0.3, 0)), context);
  assert.deepEqual(seen.labels, ["speech"]);
});

test("a frame the model hears nothing in is labelled silence", async () => {
  const { seen, context } = listener(0.1);
  await predict(request(frame(0, 0)), context);
  assert.deepEqual(seen.labels, ["silence"]);
});

test("the model gets the end of the frame before and the sample rate", async () => {
  const { seen, context } = listener(0.5);
  await predict(request(frame(0.5, 0)), context);
  assert.equal(seen.inputs[0].input.data.length, 64 + 512);
  assert.equal(seen.inputs[0].sr.data[0], 16000n);
});

test("a frame of another length is refused", async () => {
  const { context } = listener(0.5);
  await assert.rejects(async () => predict(request(new Float32Array(100)), context), /expected one frame/);
});
