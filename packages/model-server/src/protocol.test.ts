import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LaunchedServer, launchServer } from "./testing/launch-server.ts";
import { ELEMENT, identityModel, sumAndProductModel } from "./testing/onnx-models.ts";

const INFER = "/models/demo/infer";
const a = { name: "a", datatype: "FP32", shape: [1, 2], data: [1, 2] };
const b = { name: "b", datatype: "FP32", shape: [1, 2], data: [[3, 4]] };

let server: LaunchedServer;
let mixed: LaunchedServer;

beforeAll(async () => {
  [server, mixed] = await Promise.all([
    launchServer({ "only.onnx": sumAndProductModel(), "model.json": '{"maxBatchSize":4}' }, [
      ...["--node", "edge-1", "--revision", "7", "--max-request-bytes", "4096"],
    ]),
    launchServer({
      "model.onnx": identityModel([
        { name: "i64", element: ELEMENT.INT64, shape: ["N"] },
        { name: "u64", element: ELEMENT.UINT64, shape: ["M"] },
        { name: "flag", element: ELEMENT.BOOL, shape: [2] },
        { name: "text", element: ELEMENT.STRING, shape: [2] },
        { name: "f64", element: ELEMENT.FP64, shape: [] },
        { name: "half", element: ELEMENT.FP16, shape: [2] },
      ]),
    }),
  ]);
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await mixed?.[Symbol.asyncDispose]();
});

describe("endpoints without tensors", () => {
  const metadata = {
    name: "demo",
    versions: ["3"],
    platform: "onnxruntime_onnx",
    inputs: ["a", "b"].map((name) => ({ name, datatype: "FP32", shape: [-1, 2] })),
    outputs: ["sum", "product"].map((name) => ({ name, datatype: "FP32", shape: [-1, 2] })),
  };
  it.each([
    [
      "",
      200,
      { name: "kedge-model-server", version: "0.1.0", extensions: expect.arrayContaining(["binary_tensor_data"]) },
    ],
    ["/health/live", 200, { live: true }],
    ["/health/ready", 200, { ready: true }],
    ["/models/demo", 200, metadata],
    ["/models/demo/versions/3", 200, metadata],
    ["/models/demo/ready", 200, { name: "demo", ready: true }],
    ["/models/demo/versions/3/ready", 200, { name: "demo", ready: true }],
    ["/models/stats", 200, { model_stats: [expect.objectContaining({ name: "demo", version: "3" })] }],
    ["/models/demo/versions/3/stats", 200, { model_stats: [expect.objectContaining({ name: "demo" })] }],
    ["/models/other", 404, { error: "there is no model 'other' here, only 'demo'" }],
    ["/models/demo/versions/4", 404, { error: "model 'demo' has no version '4' here, only '3'" }],
    ["/models/__proto__/ready", 404, { error: expect.stringContaining("__proto__") }],
    ["/models/%ff", 400, { error: expect.any(String) }],
    ["/nothing", 404, { error: "there is no GET /v2/nothing here" }],
  ])("GET /v2%s answers %i", async (path, status, body) => {
    expect(await server.get(path)).toEqual({ status, body });
  });

  it("lists the model in the repository index", async () => {
    const response = await server.post("/repository/index", "");
    expect(await response.json()).toEqual([{ name: "demo", version: "3", state: "READY", reason: "" }]);
  });
});

describe("inference", () => {
  it.each([INFER, "/models/demo/versions/3/infer"])("answers on %s with id, name and version", async (path) => {
    const response = await server.post(path, { id: "q-1", inputs: [a, b] });
    expect(response.status).toBe(200);
    expect(response.headers.get("kedge-prediction")).toBe("second");
    expect(await response.json()).toEqual({
      model_name: "demo",
      model_version: "3",
      id: "q-1",
      outputs: [
        { name: "sum", datatype: "FP32", shape: [1, 2], data: [4, 6] },
        { name: "product", datatype: "FP32", shape: [1, 2], data: [3, 8] },
      ],
    });
  });

  it("gives only the requested outputs, in their order, and reads compressed bodies", async () => {
    const body = gzipSync(JSON.stringify({ inputs: [a, b], outputs: [{ name: "product" }, { name: "sum" }] }));
    const response = await server.post(INFER, body, { "content-encoding": "gzip" });
    expect(await response.json()).toMatchObject({ outputs: [{ name: "product" }, { name: "sum" }] });
  });

  it.each([
    ["{", 400, "not valid JSON"],
    ["[]", 400, "the request body: expected an object"],
    ["{}", 400, "inputs: expected an array"],
    [{ inputs: [a] }, 400, "tensor 'b': missing, expected datatype FP32 and shape [-1,2]"],
    [{ inputs: [a, a] }, 400, "tensor 'a': given twice"],
    [{ inputs: [a, b, { ...a, name: "c" }] }, 400, "tensor 'c': not an input of this model (a, b)"],
    [{ inputs: [a, { ...b, datatype: "FP64" }] }, 400, "expected datatype FP32 and shape [-1,2], got FP64"],
    [{ inputs: [a, { ...b, shape: [2, 1], data: [1, 2] }] }, 400, "expected datatype FP32 and shape [-1,2]"],
    [
      { inputs: [a, { ...b, shape: [2, 2], data: [1, 2, 3, 4] }] },
      400,
      "tensor 'b': size N is 1 in another input, here 2",
    ],
    [{ inputs: [a, { ...b, shape: [1e9, 2], data: [3, 4] }] }, 400, "2000000000 elements, got 2"],
    [{ inputs: [a, { ...b, data: [1, "2"] }] }, 400, "tensor 'b': element 1 is not a FP32 value"],
    [{ inputs: [a, { ...b, datatype: "toString" }] }, 400, "datatype must be one of BOOL"],
    [{ inputs: [a, b], outputs: [{ name: "sun" }] }, 400, "tensor 'sun': not an output of this model (sum, product)"],
    [{ inputs: [{ ...a, shape: [5, 2], data: Array(10).fill(0) }, b] }, 400, "a batch of at most 4, got 5"],
    ['{"inputs":[{"name":"__proto__","datatype":"FP32","shape":[1],"data":[1]}]}', 400, "expected another name"],
    ['{"inputs":[],"parameters":{"__proto__":1}}', 400, "expected another name"],
    [{ inputs: [a, b], padding: "x".repeat(5000) }, 413, "larger than this server's limit"],
  ])("refuses a bad body (%#)", async (body, status, message) => {
    const response = await server.post(INFER, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: expect.stringContaining(message) });
  });

  it.each([
    [{ "content-encoding": "gzip" }, 400, "not valid gzip data"],
    [{ "content-encoding": "br" }, 400, "expected gzip"],
    [{ "inference-header-content-length": "9999" }, 400, "expected at most the body's"],
    [{ "inference-header-content-length": "-1" }, 400, "expected a number of bytes"],
    [{ "inference-header-content-length": "0" }, 400, "a raw request needs"],
  ])("refuses headers %j", async (headers, status, message) => {
    const response = await server.post(INFER, { inputs: [a, b] }, headers);
    expect([response.status, await response.json()]).toEqual([status, { error: expect.stringContaining(message) }]);
  });

  it("refuses a small body that unpacks to a large one", async () => {
    const response = await server.post(INFER, gzipSync(Buffer.alloc(1_000_000)), { "content-encoding": "gzip" });
    expect(response.status).toBe(413);
  });

  it("takes the whole body for the only input of a raw request", async () => {
    const files = { "model.onnx": identityModel([{ name: "x", element: ELEMENT.FP32, shape: ["N", 2] }]) };
    await using raw = await launchServer(files);
    const values = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
    const response = await raw.post(INFER, values, { "inference-header-content-length": "0" });
    const body = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get("inference-header-content-length"));
    expect(JSON.parse(body.subarray(0, length).toString())).toMatchObject({ outputs: [{ shape: [2, 2] }] });
    expect(body.subarray(length)).toEqual(values);
    const odd = await raw.post(INFER, values.subarray(1), { "inference-header-content-length": "0" });
    expect(await odd.json()).toEqual({ error: expect.stringContaining("expected 8 bytes for datatype FP32") });
  });

  it("counts answers under Triton's names with its labels", async () => {
    const metrics = await (await fetch(server.url.replace("/v2", "/metrics"))).text();
    const labels = 'model="demo",version="3",node="edge-1",revision="7"';
    expect(metrics).toMatch(new RegExp(`nv_inference_request_success{${labels}} [1-9]`));
    expect(metrics).toContain(`reason="OTHER",${labels}`);
    expect(metrics).toContain("nv_inference_request_duration_histogram_us_bucket");
  });
});

describe("datatypes", () => {
  const half = Buffer.from(Uint16Array.of(0x3c00, 0x4000).buffer);
  const inputs = (i64: string, u64: string) =>
    `{"name":"i64","datatype":"INT64","shape":[1],"data":[${i64}]},{"name":"u64","datatype":"UINT64","shape":[1],"data":[${u64}]},
     {"name":"flag","datatype":"BOOL","shape":[2],"data":[true,0]},{"name":"text","datatype":"BYTES","shape":[2],"data":["é","b"]},
     {"name":"f64","datatype":"FP64","shape":[1],"data":[0.1]},
     {"name":"half","datatype":"FP16","shape":[2],"parameters":{"binary_data_size":4}}`;
  const post = (json: string) =>
    mixed.post(INFER, Buffer.concat([Buffer.from(json), half]), {
      "inference-header-content-length": String(Buffer.byteLength(json)),
    });
  const outputs = (names: string[]) => JSON.stringify(names.map((name) => ({ name })));

  it("passes every datatype through, 64-bit integers exactly", async () => {
    const wanted = outputs(["i64_out", "u64_out", "flag_out", "text_out", "f64_out"]);
    const response = await post(
      `{"inputs":[${inputs("-9223372036854775808", "18446744073709551615")}],"outputs":${wanted}}`,
    );
    const text = await response.text();
    expect(response.status, text).toBe(200);
    expect(text).toContain('"data":[-9223372036854775808]');
    expect(text).toContain('"data":[18446744073709551615]');
    expect(text).toContain('"data":[true,false]');
    expect(text).toContain('"data":["é","b"]');
    expect(text).toContain('"shape":[],"data":[0.1]');
  });

  it.each([
    ["9223372036854775808", "1", "tensor 'i64': element 0 is not a INT64 value"],
    ["1", "-1", "tensor 'u64': element 0 is not a UINT64 value"],
    ["1.5", "1", "tensor 'i64': element 0 is not a INT64 value"],
  ])("refuses %s as INT64 or %s as UINT64", async (i64, u64, message) => {
    const response = await post(`{"inputs":[${inputs(i64, u64)}]}`);
    expect(await response.json()).toEqual({ error: message });
  });

  it("answers in binary what was asked in binary, and FP16 only so", async () => {
    const asked = `[{"name":"half_out","parameters":{"binary_data":true}},{"name":"i64_out"}]`;
    const response = await post(`{"inputs":[${inputs("7", "8")}],"outputs":${asked}}`);
    const body = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get("inference-header-content-length"));
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(JSON.parse(body.subarray(0, length).toString())).toMatchObject({
      outputs: [
        { name: "half_out", parameters: { binary_data_size: 4 } },
        { name: "i64_out", data: [7] },
      ],
    });
    expect(body.subarray(length)).toEqual(half);
    const json = await post(`{"inputs":[${inputs("7", "8")}],"outputs":[{"name":"half_out"}]}`);
    expect(await json.json()).toEqual({ error: expect.stringContaining("FP16 has no JSON form") });
  });
});
