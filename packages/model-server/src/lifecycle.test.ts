import { afterEach, describe, expect, it } from "vitest";
import { type LaunchedServer, launchServer } from "./testing/launch-server.ts";
import { ELEMENT, identityModel } from "./testing/onnx-models.ts";

const MODEL = identityModel([{ name: "x", element: ELEMENT.FP32, shape: [1] }]);
const INFER = "/models/demo/infer";
const request = (x: number) => ({ inputs: [{ name: "x", datatype: "FP32", shape: [1], data: [x] }] });

const launched: LaunchedServer[] = [];

async function launch(files: Record<string, string | Uint8Array>, args: string[] = []): Promise<LaunchedServer> {
  const server = await launchServer(files, args);
  launched.push(server);
  return server;
}

afterEach(async () => {
  for (const server of launched.splice(0)) await server[Symbol.asyncDispose]();
});

/** Tells the test on standard error that a request is inside, then holds it until another arrives, or for ever. */
const GATE = `
let open;
const gate = new Promise((resolve) => { open = resolve; });
export async function preprocess(request, context) {
  const [x] = request.inputs.x.data;
  if (x === 1) { context.log.info({}, "inside"); await gate; }
  if (x === 2) open();
  return request;
}`;

async function inside(server: LaunchedServer): Promise<void> {
  await expect
    .poll(() => server.stderr.some((line) => line.includes('"msg":"inside"')), { timeout: 10_000 })
    .toBe(true);
}

describe("stopping", () => {
  it("is not ready at once, lets a request in work end and exits with 0", async () => {
    const holding = GATE.replace(
      "await gate;",
      "await new Promise((r) => process.once('SIGTERM', () => setTimeout(r, 300)));",
    );
    const server = await launch({ "model.onnx": MODEL, "handler.mjs": holding });
    const answer = server.post(INFER, request(1));
    await inside(server);
    server.signal("SIGTERM");
    const response = await answer;
    expect(response.status).toBe(200);
    expect(response.headers.get("connection")).toBe("close");
    expect(await server.exited()).toBe(0);
  });

  it("cuts a request off when the grace period is over", async () => {
    const server = await launch({ "model.onnx": MODEL, "handler.mjs": GATE }, ["--grace-ms", "50"]);
    const answer = server.post(INFER, request(1)).catch((error: unknown) => error);
    await inside(server);
    server.signal("SIGTERM");
    expect(await server.exited()).toBe(0);
    expect(await answer).toBeInstanceOf(TypeError);
  });
});

describe("bounds", () => {
  it("answers 503 with Retry-After when the queue is full, and recovers", async () => {
    const server = await launch({ "model.onnx": MODEL, "handler.mjs": GATE }, [
      "--max-concurrency",
      "2",
      "--max-queue",
      "0",
    ]);
    const first = server.post(INFER, request(1));
    await inside(server);
    const held = server.post(INFER, request(1));
    await expect.poll(() => server.stderr.filter((line) => line.includes('"inside"')).length).toBe(2);
    const refused = await server.post(INFER, request(2));
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect((await server.get("/health/ready")).status).toBe(200);
    server.signal("SIGKILL");
    await Promise.allSettled([first, held]);
  });

  it("ends a request that takes too long, and serves the next", async () => {
    const server = await launch({ "model.onnx": MODEL, "handler.mjs": GATE }, [
      ...["--request-timeout-ms", "300", "--max-concurrency", "1"],
    ]);
    const late = await server.post(INFER, request(1));
    expect([late.status, await late.json()]).toEqual([504, { error: "the request took longer than 300 ms" }]);
    expect((await server.post(INFER, request(2))).status).toBe(200);
  });
});

describe("handler", () => {
  const HANDLER = `
    export function preprocess(request, context) {
      const [x] = request.inputs.x.data;
      if (x === 1) throw new Error("boom");
      if (x === 2) context.reject("not two");
      if (x === 3) return { inputs: { x: { datatype: "FP32", shape: [1], data: [1] } } };
      if (x === 4) Promise.reject(new Error("forgotten"));
      if (x === 5) return undefined;
      return { ...request, inputs: { x: { datatype: "FP32", shape: [1], data: Float32Array.of(x * 2) } } };
    }
    export async function postprocess(response, context) {
      context.label("très bien!");
      return { outputs: { ...response.outputs, y: { datatype: "BYTES", shape: [], data: ["extra"] } }, parameters: { n: 1 } };
    }`;

  it("turns what a handler does into answers", async () => {
    const server = await launch({ "model.onnx": MODEL, "handler.mjs": HANDLER });
    const answers = [];
    for (const x of [1, 2, 3, 5]) {
      const response = await server.post(INFER, request(x));
      answers.push([response.status, await response.json()]);
    }
    expect(answers).toEqual([
      [500, { error: "handler preprocess: boom" }],
      [400, { error: "not two" }],
      [500, { error: "the handler made an illegal input 'x'" }],
      [500, { error: "handler preprocess returned no object" }],
    ]);
    const good = await server.post(INFER, request(4));
    expect(good.headers.get("kedge-prediction")).toBe("tr_s_bien_");
    expect(await good.json()).toMatchObject({
      parameters: { n: 1 },
      outputs: [
        { name: "x_out", data: [8] },
        { name: "y", datatype: "BYTES", data: ["extra"] },
      ],
    });
    expect((await server.get("/health/ready")).status).toBe(200);
  });
});

describe("a model that cannot be served", () => {
  const failing = "export function predict() { throw new Error('no weights'); }";
  it.concurrent.each([
    [{ "model.onnx": MODEL, "handler.mjs": failing }, "the warm-up request failed: handler predict: no weights"],
    [
      { "model.onnx": MODEL, "handler.mjs": "export const predict = 1;" },
      "export predict must be a function, is number",
    ],
    [{ "model.onnx": MODEL, "handler.mjs": "import 'nowhere';" }, "handler.mjs cannot be imported"],
    [{ "model.onnx": "no protobuf" }, "the model cannot be loaded"],
    [
      { "model.onnx": MODEL, "model.json": '{"warmup":{"inputs":{"x":{"shape":[2]}}}}' },
      "expected datatype FP32 and shape [1]",
    ],
    [{ "model.onnx": MODEL, "model.json": '{"warmUp":1}' }, "model.json: expected only platform"],
    [{ "a.onnx": MODEL, "b.onnx": MODEL }, "expected model.onnx or one *.onnx file in the model folder, found 2"],
  ])("exits with 1 and one line that says why (%#)", async (files, reason) => {
    await using server = await launchServer(files);
    expect(await server.exited()).toBe(1);
    const lines = server.stderr.filter((line) => line.startsWith("kedge-model-server: "));
    expect(lines).toEqual([expect.stringContaining(`INVALID_MODEL: `)]);
    expect(lines[0]).toContain(reason);
  });
});
