// Latency of Silero VAD over HTTP against the floor: session.run of the same model in this process.
// Run: node -C kedge-source bench/latency.mjs [rounds]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { MODEL_SERVER_ENTRY } from "../src/entry.ts";

const ROUNDS = Number(process.argv[2] ?? 2000);
const WARM_UP = 200;
const MODEL = fileURLToPath(
  new URL("../../../node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx", import.meta.url),
);
const EXAMPLE = fileURLToPath(new URL("../examples/silero-vad/", import.meta.url));
const frame = Float32Array.from({ length: 512 }, (_, i) => (((i * 140) / 16_000) % 1) - 0.5);

async function measure(call, expected) {
  const latencies = [];
  for (let i = 0; i < ROUNDS + WARM_UP; i++) {
    const start = performance.now();
    const score = await call();
    const took = performance.now() - start;
    if (Math.abs(score - expected) > 1e-6) throw new Error(`wrong answer: ${score} instead of ${expected}`);
    if (i >= WARM_UP) latencies.push(took);
  }
  latencies.sort((a, b) => a - b);
  return { p50: latencies[Math.floor(ROUNDS * 0.5)], p99: latencies[Math.floor(ROUNDS * 0.99)] };
}

function post(port, agent, headers, body) {
  return new Promise((resolve, reject) => {
    const options = { port, host: "127.0.0.1", path: "/v2/models/vad/infer", method: "POST", agent, headers };
    const outgoing = request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        const bytes = Buffer.concat(parts);
        if (response.statusCode === 200) resolve({ headers: response.headers, bytes });
        else reject(new Error(`status ${response.statusCode}: ${bytes}`));
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function rssMib(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
}

const session = await InferenceSession.create(MODEL, { intraOpNumThreads: 1, interOpNumThreads: 1 });
// The handler puts 64 samples of context in front of a frame.
const padded = new Float32Array(576);
padded.set(frame, 64);
const floorCall = async () => {
  const outputs = await session.run({
    input: new Tensor("float32", padded, [1, 576]),
    state: new Tensor("float32", new Float32Array(256), [2, 1, 128]),
    sr: new Tensor("int64", BigInt64Array.of(16_000n), []),
  });
  return outputs.output.data[0];
};
const expected = await floorCall();
const floor = await measure(floorCall, expected);

const modelDir = await mkdtemp(join(tmpdir(), "kedge-bench-"));
await copyFile(MODEL, join(modelDir, "model.onnx"));
for (const file of ["handler.mjs", "model.json"]) await copyFile(join(EXAMPLE, file), join(modelDir, file));
const flags = ["--model-dir", modelDir, "--name", "vad", "--version", "5", "--port", "0"];
const child = spawn(process.execPath, ["-C", "kedge-source", MODEL_SERVER_ENTRY, ...flags], {
  stdio: ["ignore", "ignore", "pipe"],
});
try {
  let port = 0;
  for await (const line of createInterface({ input: child.stderr })) {
    port = Number(/"address":"http:[^"]*:(\d+)"/.exec(line)?.[1] ?? port);
    if (line.includes("model is ready")) break;
  }
  const idleMib = await rssMib(child.pid);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const outputs = [{ name: "output" }];
  const input = { name: "input", datatype: "FP32", shape: [1, 512] };
  const jsonBody = JSON.stringify({ inputs: [{ ...input, data: [...frame] }], outputs });
  const json = await measure(async () => {
    const { bytes } = await post(port, agent, { "content-type": "application/json" }, jsonBody);
    return JSON.parse(bytes).outputs[0].data[0];
  }, expected);
  const head = JSON.stringify({
    inputs: [{ ...input, parameters: { binary_data_size: frame.byteLength } }],
    outputs,
    parameters: { binary_data_output: true },
  });
  const binaryBody = Buffer.concat([Buffer.from(head), Buffer.from(frame.buffer)]);
  const headers = { "content-type": "application/octet-stream", "inference-header-content-length": head.length };
  const binary = await measure(async () => {
    const answer = await post(port, agent, headers, binaryBody);
    return answer.bytes.readFloatLE(Number(answer.headers["inference-header-content-length"]));
  }, expected);
  agent.destroy();
  for (const [name, { p50, p99 }] of Object.entries({ floor, json, binary })) {
    const ratio = (p50 / floor.p50).toFixed(1);
    console.log(`${name.padEnd(8)} p50 ${p50.toFixed(3)} ms  p99 ${p99.toFixed(3)} ms  ${ratio}x the floor`);
  }
  console.log(`server RSS ${idleMib.toFixed(0)} MiB when ready, ${(await rssMib(child.pid)).toFixed(0)} MiB after`);
} finally {
  child.kill("SIGKILL");
  await once(child, "exit");
  await rm(modelDir, { recursive: true });
}
