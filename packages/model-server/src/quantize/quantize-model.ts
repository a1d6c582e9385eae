import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { errorMessage, KedgeError } from "@kedge/domain";
import {
  AttributeProto_AttributeType,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
} from "@kedge/proto/onnx-graph";
import { isQuantizable, quantizeTensor } from "./quantize-tensor.ts";
import { findWeightUses, graphsOf, isStandard } from "./weight-uses.ts";

/** A model with smaller weights. */
export interface QuantizedModel {
  readonly bytes: Uint8Array;
  /** How many weights are stored as integers now. */
  readonly weights: number;
  /** Largest difference of a weight to what it was. */
  readonly maxWeightError: number;
}

/** DequantizeLinear has a scale per channel from this version of the operators on. */
const MIN_OPSET = 13n;

/**
 * Stores the FP32 weights of an ONNX model as 8-bit integers with a scale per channel, and a DequantizeLinear in front of
 * their uses. Nothing is measured: what is computed from the weights stays FP32, so no examples are needed.
 *
 * @param minElements smaller weights stay as they are.
 * @throws KedgeError INVALID_MODEL for a file that is no ONNX model, has operators older than version 13, its weights in
 *   other files, or none that are large enough.
 */
export function quantizeModel(bytes: Uint8Array, minElements: number): QuantizedModel {
  const model = parse(bytes);
  const { graph } = model;
  if (graph === undefined) throw new KedgeError("INVALID_MODEL", "the file holds no ONNX graph");
  assertOpset(model);
  const quantizer = new Quantizer(graph, minElements);
  quantizer.rewrite(graph);
  const { weights, maxWeightError } = quantizer;
  if (weights === 0)
    throw new KedgeError("INVALID_MODEL", `the model has no FP32 weights of at least ${minElements} elements`);
  return { bytes: toBinary(ModelProtoSchema, model), weights, maxWeightError };
}

function parse(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new KedgeError("INVALID_MODEL", `the file is no ONNX model: ${errorMessage(error)}`, { cause: error });
  }
}

function assertOpset({ opsetImport }: ModelProto): void {
  const version = opsetImport.find(({ domain = "" }) => domain === "" || domain === "ai.onnx")?.version ?? 0n;
  if (version >= MIN_OPSET) return;
  throw new KedgeError(
    "INVALID_MODEL",
    `the model has operators of version ${version}; scales per channel need ${MIN_OPSET}: export it anew, or convert it`,
  );
}

class Quantizer {
  weights = 0;
  maxWeightError = 0;
  readonly #uses: ReadonlyMap<string, number>;
  readonly #minElements: number;
  readonly #names = new Set<string>();

  constructor(graph: GraphProto, minElements: number) {
    this.#uses = findWeightUses(graph);
    this.#minElements = minElements;
    this.#collectNames(graph);
  }

  rewrite(graph: GraphProto): void {
    // What a caller may replace, or reads, stays what it is.
    const open = new Set([...graph.input, ...graph.output].map(({ name }) => name));
    const added: NodeProto[] = [];
    const initializers: TensorProto[] = [];
    const replace = (tensor: TensorProto, name: string): boolean => {
      const axis = open.has(name) ? undefined : this.#axisOf(tensor, name);
      if (axis === undefined) return false;
      const { node, tensors } = this.#dequantized(tensor, name, axis);
      added.push(node);
      initializers.push(...tensors);
      return true;
    };
    const kept = graph.initializer.filter((tensor) => !replace(tensor, tensor.name ?? ""));
    const nodes = graph.node.filter((node) => {
      const tensor = constantOf(node);
      return tensor === undefined || !replace(tensor, node.output[0] ?? "");
    });
    graph.initializer = [...kept, ...initializers];
    graph.node = [...added, ...nodes];
    for (const node of nodes) for (const inner of graphsOf(node)) this.rewrite(inner);
  }

  #axisOf(tensor: TensorProto, name: string): number | undefined {
    const axis = this.#uses.get(name);
    if (axis === undefined || !isQuantizable(tensor, this.#minElements)) return undefined;
    const positive = axis < 0 ? tensor.dims.length + axis : axis;
    return positive >= 0 && positive < tensor.dims.length ? positive : 0;
  }

  #dequantized(tensor: TensorProto, name: string, axis: number): { node: NodeProto; tensors: TensorProto[] } {
    tensor.name = name;
    const { quantized, scales, maxError } = quantizeTensor(tensor, axis);
    this.weights += 1;
    this.maxWeightError = Math.max(this.maxWeightError, maxError);
    quantized.name = this.#unused(`${name}_quantized`);
    scales.name = this.#unused(`${name}_scale`);
    const node = create(NodeProtoSchema, {
      ...{ opType: "DequantizeLinear", name: this.#unused(`${name}_dequantize`), output: [name] },
      input: [quantized.name, scales.name],
      attribute: [{ name: "axis", i: BigInt(axis), type: AttributeProto_AttributeType.INT }],
    });
    return { node, tensors: [quantized, scales] };
  }

  #unused(wanted: string): string {
    let name = wanted;
    for (let i = 1; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }

  #collectNames({ node, initializer, input }: GraphProto): void {
    for (const { name = "" } of [...initializer, ...input]) this.#names.add(name);
    for (const each of node) {
      for (const name of [...each.input, ...each.output, each.name ?? ""]) this.#names.add(name);
      for (const inner of graphsOf(each)) this.#collectNames(inner);
    }
  }
}

/** The tensor that a node stands for, if that is all it does. */
function constantOf(node: NodeProto): TensorProto | undefined {
  if (node.opType !== "Constant" || !isStandard(node)) return undefined;
  return node.attribute.find(({ name }) => name === "value")?.t;
}
