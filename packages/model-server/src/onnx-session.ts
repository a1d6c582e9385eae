import { errorMessage, KedgeError } from "@kedge/domain";
import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-node";
import { type Datatype, datatypeInfo, fromOnnxType } from "./datatype.ts";
import type { Signature, TensorSpec } from "./signature.ts";
import type { Tensor } from "./tensor.ts";

/** A loaded model. `run` occupies the event loop while it computes, so runs never overlap. */
export interface ModelSession {
  readonly signature: Signature;
  /** Runs once; `outputs` undefined = all. Inputs must match the signature. */
  run(inputs: ReadonlyMap<string, Tensor>, outputs?: readonly string[]): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

/**
 * Loads a model file into onnxruntime on the CPU. This file is the only one that knows that library.
 *
 * @throws KedgeError INVALID_MODEL when the runtime refuses the file, or it has a type the protocol lacks.
 */
export async function loadSession(path: string, threads: number): Promise<ModelSession> {
  const session = await createSession(path, threads);
  const signature = {
    inputs: session.inputMetadata.map(toSpec),
    outputs: session.outputMetadata.map(toSpec),
  };
  return {
    signature,
    run: (inputs, outputs) => run(session, inputs, outputs ?? session.outputNames),
    release: () => session.release(),
  };
}

async function createSession(path: string, threads: number): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(path, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
      executionProviders: ["cpu"],
      logSeverityLevel: 3,
    });
  } catch (error) {
    throw new KedgeError("INVALID_MODEL", `the model cannot be loaded: ${firstLine(error)}`, { cause: error });
  }
}

function toSpec(metadata: InferenceSession.ValueMetadata): TensorSpec {
  const datatype = metadata.isTensor ? fromOnnxType(metadata.type) : undefined;
  if (metadata.isTensor && datatype !== undefined) return { name: metadata.name, datatype, shape: metadata.shape };
  const type = metadata.isTensor ? metadata.type : "not a tensor";
  throw new KedgeError("INVALID_MODEL", `'${metadata.name}' has a type that cannot be served: ${type}`);
}

async function run(
  session: InferenceSession,
  inputs: ReadonlyMap<string, Tensor>,
  fetches: readonly string[],
): Promise<Record<string, Tensor>> {
  const feeds = Object.fromEntries([...inputs].map(([name, tensor]) => [name, toOnnx(tensor)]));
  let results: InferenceSession.OnnxValueMapType;
  try {
    results = await session.run(feeds, fetches);
  } catch (error) {
    throw new KedgeError("PROCESS_FAILED", `the model failed: ${firstLine(error)}`, { cause: error });
  }
  const outputs: Record<string, Tensor> = Object.create(null);
  for (const name of fetches) outputs[name] = fromOnnx(name, results[name]);
  return outputs;
}

function toOnnx({ datatype, data, shape }: Tensor): OnnxTensor {
  const tensor = Reflect.construct(OnnxTensor, [datatypeInfo(datatype).onnx, data, [...shape]]);
  // The library turns FP16 into a Float16Array, which its own native part does not accept in 1.30.
  if (datatype === "FP16") Reflect.set(tensor, "cpuData", data);
  return tensor;
}

function fromOnnx(name: string, value: InferenceSession.OnnxValueMapType[string] | undefined): Tensor {
  const datatype: Datatype | undefined = value === undefined ? undefined : fromOnnxType(value.type);
  if (value === undefined || datatype === undefined) {
    throw new KedgeError("PROCESS_FAILED", `the model gave no usable output '${name}'`);
  }
  const shape = [...value.dims];
  const data: unknown = value.data;
  if (Array.isArray(data)) return { datatype, shape, data: data.map(String) };
  if (!ArrayBuffer.isView(data)) throw new KedgeError("PROCESS_FAILED", `output '${name}' has no data on the CPU`);
  return { datatype, shape, data: datatypeInfo(datatype).view(data.buffer, data.byteOffset, value.size) };
}

function firstLine(error: unknown): string {
  return errorMessage(error).split("\n", 1).join("").slice(0, 300);
}
