// Runs the model with its handler on frames whose right label is known; writes accuracy and latency as metrics.
import { readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { frame, request } from "./frames.mjs";
import { predict } from "./model/handler.mjs";

const FRAMES = 400;
const LOUDNESS = [0.3, 0.4, 0.5];
const TYPES = { FP32: "float32", INT64: "int64" };

const ort = createRequire(import.meta.url)(process.env.ONNXRUNTIME);
const file = readdirSync("model").find((name) => name.endsWith(".onnx"));
const session = await ort.InferenceSession.create(`model/${file}`, { intraOpNumThreads: 1 });

async function infer(inputs) {
  const feeds = Object.entries(inputs).map(([name, t]) => [name, new ort.Tensor(TYPES[t.datatype], t.data, t.shape)]);
  const outputs = await session.run(Object.fromEntries(feeds));
  const tensors = Object.entries(outputs).map(([name, t]) => [name, { datatype: "FP32", shape: t.dims, data: t.data }]);
  return Object.fromEntries(tensors);
}

let right = 0;
const times = [];
for (let i = 0; i < FRAMES; i++) {
  const isTone = i % 2 === 1;
  const loudness = isTone ? LOUDNESS[i % LOUDNESS.length] : 0;
  let heard = "";
  const started = performance.now();
  // A conversation of eight frames.
  const parameters = { sequence_id: "evaluation", sequence_start: i % 8 === 0 };
  await predict(request(frame(loudness, i), parameters), {
    infer,
    label: (name) => {
      heard = name;
    },
    reject: (message) => {
      throw new Error(message);
    },
  });
  times.push(performance.now() - started);
  if (heard === (isTone ? "speech" : "silence")) right += 1;
}
times.sort((a, b) => a - b);
const metrics = { accuracy: right / FRAMES, latency_ms: Number(times[Math.floor(FRAMES / 2)].toFixed(3)) };
writeFileSync("metrics.json", JSON.stringify(metrics));
console.log(`${right} of ${FRAMES} frames labelled right, median ${metrics.latency_ms} ms a frame`);
