import { create, fromBinary } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type ModelSignature, ModelSignatureSchema, type TensorSpec, TensorSpecSchema } from "@kedge/proto";
import { ModelProtoSchema, type ValueInfoProto } from "@kedge/proto/onnx";

/** ONNX element types as the Open Inference Protocol names them. Numbers: onnx.proto, TensorProto.DataType. */
const DATATYPES: Readonly<Record<number, string>> = {
  1: "FP32",
  2: "UINT8",
  3: "INT8",
  4: "UINT16",
  5: "INT16",
  6: "INT32",
  7: "INT64",
  8: "BYTES",
  9: "BOOL",
  10: "FP16",
  11: "FP64",
  12: "UINT32",
  13: "UINT64",
  16: "BF16",
};

/**
 * Reads inputs and outputs from an ONNX file.
 *
 * @throws KedgeError INVALID_MODEL when the bytes are no ONNX model.
 */
export function readOnnxSignature(file: string, bytes: Uint8Array): ModelSignature {
  const graph = parseGraph(file, bytes);
  // Files of IR version 3 and older list weights among the inputs.
  const weights = new Set(graph.initializer.map((tensor) => tensor.name));
  return create(ModelSignatureSchema, {
    inputs: graph.input.filter((input) => !weights.has(input.name)).map(tensorSpec),
    outputs: graph.output.map(tensorSpec),
  });
}

function parseGraph(file: string, bytes: Uint8Array) {
  try {
    const graph = fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false }).graph;
    if (graph !== undefined && graph.output.length > 0) return graph;
  } catch (cause) {
    throw new KedgeError("INVALID_MODEL", `${file} is not an ONNX model`, { cause, field: file });
  }
  throw new KedgeError("INVALID_MODEL", `${file} has no graph with outputs`, { field: file });
}

function tensorSpec(info: ValueInfoProto): TensorSpec {
  const tensor = info.type?.value.case === "tensorType" ? info.type.value.value : undefined;
  const shape = (tensor?.shape?.dim ?? []).map((dim) => (dim.value.case === "dimValue" ? dim.value.value : -1n));
  return create(TensorSpecSchema, { name: info.name, datatype: DATATYPES[tensor?.elemType ?? 0] ?? "UNKNOWN", shape });
}

/** The first way in which callers of the old signature would break on the new one; undefined when none does. */
export function signatureBreak(before: ModelSignature, after: ModelSignature): string | undefined {
  const inputs = new Map(after.inputs.map((tensor) => [tensor.name, tensor]));
  for (const old of before.inputs) {
    const problem = tensorBreak("input", old, inputs.get(old.name));
    if (problem !== undefined) return problem;
    inputs.delete(old.name);
  }
  const [added] = inputs.keys();
  if (added !== undefined) return `input "${added}" is new, callers do not send it`;
  const outputs = new Map(after.outputs.map((tensor) => [tensor.name, tensor]));
  for (const old of before.outputs) {
    const problem = tensorBreak("output", old, outputs.get(old.name));
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function tensorBreak(role: string, before: TensorSpec, after: TensorSpec | undefined): string | undefined {
  if (after === undefined) return `${role} "${before.name}" is gone`;
  if (after.datatype !== before.datatype) {
    return `${role} "${before.name}" changed from ${before.datatype} to ${after.datatype}`;
  }
  const fits =
    after.shape.length === before.shape.length &&
    before.shape.every((size, i) => size === after.shape[i] || after.shape[i] === -1n);
  return fits ? undefined : `${role} "${before.name}" changed from [${before.shape}] to [${after.shape}]`;
}
