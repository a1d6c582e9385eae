// Does the image have all the handler needs? It answers one frame, with a model that always hears speech.
import { frame, request } from "./frames.mjs";
import { predict } from "./model/handler.mjs";

let heard;
const state = { datatype: "FP32", shape: [2, 1, 128], data: new Float32Array(256) };
await predict(request(frame(0.4, 0)), {
  infer: async () => ({ output: { datatype: "FP32", shape: [1, 1], data: Float32Array.of(0.9) }, stateN: state }),
  label: (name) => {
    heard = name;
  },
  reject: (message) => {
    throw new Error(message);
  },
});
if (heard !== "speech") throw new Error(`expected speech, got ${heard}`);
console.log(`the handler answers in its image, on Node ${process.version}`);
