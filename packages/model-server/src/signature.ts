import { KedgeError } from "@kedge/domain";
import { type Datatype, datatypeInfo } from "./datatype.ts";
import type { InferRequest } from "./infer-request.ts";
import { type Tensor, type Tensors, tensorError } from "./tensor.ts";
import { decodeBinaryData } from "./tensor-binary.ts";

/** One input or output a model declares. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  /** A number is fixed, a string is the name of a variable size ("" = nameless). */
  readonly shape: readonly (number | string)[];
}

/** What goes in and out of a model. */
export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** The shape as the protocol writes it: -1 for a variable size. */
export function protocolShape(spec: TensorSpec): number[] {
  return spec.shape.map((size) => (typeof size === "number" ? size : -1));
}

/**
 * Compares inputs with what the model declares and returns them in its order. A named variable size must be the same
 * wherever it occurs; a one-element tensor of shape [1] is taken for a scalar. `maxBatch` bounds a variable first size.
 *
 * @throws KedgeError INVALID_FIELD naming the input with the expected datatype and shape.
 */
export function matchInputs(signature: Signature, inputs: Tensors, maxBatch?: number): Map<string, Tensor> {
  const unknown = Object.keys(inputs).find((name) => !signature.inputs.some((spec) => spec.name === name));
  if (unknown !== undefined) {
    throw tensorError(unknown, `not an input of this model (${signature.inputs.map((spec) => spec.name).join(", ")})`);
  }
  const sizes = new Map<string, number>();
  for (const { name, shape } of signature.inputs) {
    const rows = typeof shape[0] === "string" ? (inputs[name]?.shape[0] ?? 0) : 0;
    if (rows > (maxBatch ?? rows)) throw tensorError(name, `expected a batch of at most ${maxBatch}, got ${rows}`);
  }
  return new Map(signature.inputs.map((spec) => [spec.name, matchInput(spec, inputs[spec.name], sizes)]));
}

function matchInput(spec: TensorSpec, given: Tensor | undefined, sizes: Map<string, number>): Tensor {
  const expected = `expected datatype ${spec.datatype} and shape [${protocolShape(spec).join(",")}]`;
  if (given === undefined) throw tensorError(spec.name, `missing, ${expected}`);
  const isScalar = spec.shape.length === 0 && given.shape.length === 1 && given.shape[0] === 1;
  const tensor = isScalar ? { ...given, shape: [] } : given;
  if (tensor.datatype !== spec.datatype || !fits(spec, tensor.shape)) {
    throw tensorError(spec.name, `${expected}, got ${given.datatype} and [${given.shape.join(",")}]`);
  }
  for (const [axis, size] of spec.shape.entries()) {
    const actual = tensor.shape[axis] ?? 0;
    if (typeof size === "number" || size === "") continue;
    const before = sizes.get(size) ?? actual;
    if (before !== actual) throw tensorError(spec.name, `size ${size} is ${before} in another input, here ${actual}`);
    sizes.set(size, actual);
  }
  return tensor;
}

function fits(spec: TensorSpec, shape: readonly number[]): boolean {
  return (
    shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => typeof size !== "number" || size === shape[axis])
  );
}

/**
 * Reads a raw request, whose whole body is the one input of the model, as one batch; the answer is binary too.
 *
 * @throws KedgeError INVALID_FIELD when the model's signature does not allow this form, or the size is wrong.
 */
export function parseRawRequest(signature: Signature, body: Uint8Array): InferRequest {
  const [spec, second] = signature.inputs;
  const variable = spec?.shape.filter((size) => typeof size === "string").length ?? 0;
  if (spec === undefined || second !== undefined || variable > 1) {
    throw new KedgeError("INVALID_FIELD", "a raw request needs a model with one input with at most one variable size");
  }
  const shape = spec.datatype === "BYTES" ? [1] : rawShape(spec, body.length);
  const bytes = spec.datatype === "BYTES" ? prefixed(body) : body;
  const tensor = decodeBinaryData(spec.name, { datatype: spec.datatype, shape }, bytes);
  const inputs: Record<string, Tensor> = Object.create(null);
  inputs[spec.name] = tensor;
  return { parameters: {}, inputs, outputs: undefined, binaryOutput: true };
}

function rawShape(spec: TensorSpec, length: number): number[] {
  const fixed = spec.shape.reduce<number>((product, size) => (typeof size === "number" ? product * size : product), 1);
  const rowBytes = fixed * datatypeInfo(spec.datatype).bytes;
  const variable = rowBytes === 0 ? 0 : Math.floor(length / rowBytes);
  return spec.shape.map((size) => (typeof size === "number" ? size : variable));
}

function prefixed(body: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}
