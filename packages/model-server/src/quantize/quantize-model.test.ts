import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import onnxProto from "onnx-proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadSession } from "../onnx-session.ts";
import type { Tensor } from "../tensor.ts";
import { quantizeModel } from "./quantize-model.ts";

const { onnx } = onnxProto;
const vadPackage = new URL("../../../../node_modules/@ricky0123/vad-web/dist/", import.meta.url);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-quantize-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The same numbers every time, between -1 and 1. */
function numbers(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  });
}

const info = (name: string, dims: number[]) => {
  const shape = { dim: dims.map((dimValue) => ({ dimValue })) };
  return onnx.ValueInfoProto.create({ name, type: { tensorType: { elemType: 1, shape } } });
};
const weight = (name: string, dims: number[], seed: number) => ({
  ...{ name, dims, dataType: 1 },
  rawData: new Uint8Array(
    numbers(
      dims.reduce((a, b) => a * b, 1),
      seed,
    ).buffer,
  ),
});

/** An image through a convolution, then a layer that is stored as a Constant. */
function network(opset: number, change: (graph: InstanceType<typeof onnx.GraphProto>) => void = () => {}): Uint8Array {
  const graph = onnx.GraphProto.create({
    name: "g",
    input: [info("x", [1, 3, 8, 8])],
    output: [info("y", [1, 10])],
    initializer: [weight("conv", [16, 3, 3, 3], 3), weight("bias", [16], 5)],
    node: [
      { opType: "Constant", output: ["dense"], attribute: [{ name: "value", type: 4, t: weight("", [576, 10], 7) }] },
      { opType: "Conv", input: ["x", "conv", "bias"], output: ["c"] },
      { opType: "Relu", input: ["c"], output: ["r"] },
      { opType: "Flatten", input: ["r"], output: ["f"] },
      { opType: "MatMul", input: ["f", "dense"], output: ["y"] },
    ],
  });
  change(graph);
  const model = onnx.ModelProto.create({ irVersion: 8, opsetImport: [{ domain: "", version: opset }], graph });
  return onnx.ModelProto.encode(model).finish();
}

async function run(bytes: Uint8Array, inputs: Record<string, Tensor>, output: string): Promise<number[]> {
  const file = join(folder, "model.onnx");
  await writeFile(file, bytes);
  const session = await loadSession(file, 1);
  const outputs = await session.run(new Map(Object.entries(inputs)), [output]);
  await session.release();
  return Array.from<number | bigint | string, number>(outputs[output]?.data ?? [], Number);
}

const distance = (a: number[], b: number[]) => Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN))));

describe("quantizing", () => {
  it("keeps what a network says, within the rounding of its weights", async () => {
    const before = network(17);
    const { bytes, weights, maxWeightError } = quantizeModel(before, 400);
    expect(weights).toBe(2);
    expect(bytes.length / before.length).toBeLessThan(0.3);
    expect(maxWeightError).toBeLessThanOrEqual(1 / 254 + 1e-6);
    const inputs = { x: { datatype: "FP32" as const, shape: [1, 3, 8, 8], data: numbers(192, 11) } };
    const [exact, rounded] = [await run(before, inputs, "y"), await run(bytes, inputs, "y")];
    const largest = Math.max(...exact.map(Math.abs));
    expect(distance(exact, rounded)).toBeLessThan(largest * 0.02);
    expect(distance(exact, rounded)).toBeGreaterThan(0);
  });

  it("makes a speech detector's weights a quarter, those in its branches too", async () => {
    const before = await readFile(new URL("silero_vad_v5.onnx", vadPackage));
    const { bytes } = quantizeModel(before, 1024);
    expect(bytes.length / before.length).toBeLessThan(0.35);
    const sound = numbers(512, 13).map((value, i) => value * 0.1 + Math.sin(i / 12) * 0.5);
    const inputs = {
      input: { datatype: "FP32" as const, shape: [1, 512], data: sound },
      state: { datatype: "FP32" as const, shape: [2, 1, 128], data: new Float32Array(256) },
      sr: { datatype: "INT64" as const, shape: [], data: BigInt64Array.of(16_000n) },
    };
    expect(distance(await run(before, inputs, "output"), await run(bytes, inputs, "output"))).toBeLessThan(0.05);
  });

  it("leaves small weights, and those that a caller may set", async () => {
    expect(quantizeModel(network(17), 1000).weights).toBe(1);
    const open = network(17, (graph) => graph.input.push(onnx.ValueInfoProto.create(info("conv", [16, 3, 3, 3]))));
    expect(quantizeModel(open, 400).weights).toBe(1);
    expect(() => quantizeModel(network(17), 1_000_000)).toThrow("no FP32 weights of at least 1000000 elements");
  });

  it("finds names of its own", async () => {
    const taken = network(17, (graph) => graph.initializer.push(onnx.TensorProto.create(weight("conv_scale", [2], 3))));
    const { bytes } = quantizeModel(taken, 400);
    const names = onnx.ModelProto.decode(bytes).graph?.initializer?.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["conv_scale", "conv_scale_1"]));
  });

  it("is exact on channels of zeros", async () => {
    const zeros = network(17, (graph) => {
      for (const tensor of graph.initializer) tensor.rawData = new Uint8Array(tensor.rawData?.length ?? 0);
    });
    const inputs = { x: { datatype: "FP32" as const, shape: [1, 3, 8, 8], data: numbers(192) } };
    expect(await run(quantizeModel(zeros, 400).bytes, inputs, "y")).toEqual(Array(10).fill(0));
  });

  it("says what it cannot do", () => {
    expect(() => quantizeModel(network(12), 400)).toThrow("operators of version 12; scales per channel need 13");
    expect(() => quantizeModel(Buffer.from("no model"), 400)).toThrow("no ONNX");
    const external = network(17, (graph) => {
      Object.assign(graph.initializer[0] ?? {}, { dataLocation: 1, rawData: new Uint8Array() });
    });
    expect(() => quantizeModel(external, 400)).toThrow('the weights of "conv" are in another file');
    const short = network(17, (graph) => Object.assign(graph.initializer[0] ?? {}, { rawData: new Uint8Array(8) }));
    expect(() => quantizeModel(short, 400)).toThrow('"conv" has 2 weights and dimensions for 432');
  });
});
