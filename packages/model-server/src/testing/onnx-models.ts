import onnxProto from "onnx-proto";

const { onnx } = onnxProto;

/** Element types of onnx.proto that the tests use. */
export const ELEMENT = { FP32: 1, INT32: 6, INT64: 7, STRING: 8, BOOL: 9, FP16: 10, FP64: 11, UINT64: 13 } as const;

/** An input or output: a number is a fixed size, a string a variable one. */
export interface TestTensor {
  readonly name: string;
  readonly element: number;
  readonly shape: readonly (number | string)[];
}

function valueInfo({ name, element, shape }: TestTensor) {
  const dim = shape.map((size) => (typeof size === "string" ? { dimParam: size } : { dimValue: size }));
  return onnx.ValueInfoProto.create({ name, type: { tensorType: { elemType: element, shape: { dim } } } });
}

/** A model that passes each input `x` on as `x_out`, unchanged; `labels` go into its metadata. */
export function identityModel(inputs: readonly TestTensor[], labels?: string): Uint8Array {
  const outputs = inputs.map((input) => ({ ...input, name: `${input.name}_out` }));
  const nodes = inputs.map((input) =>
    onnx.NodeProto.create({
      opType: "Identity",
      name: `${input.name}_id`,
      input: [input.name],
      output: [`${input.name}_out`],
    }),
  );
  return encode(nodes, inputs, outputs, labels);
}

/** A model with FP32 inputs `a` and `b` of shape [N,2] and the outputs `sum` and `product`. */
export function sumAndProductModel(): Uint8Array {
  const tensor = (name: string): TestTensor => ({ name, element: ELEMENT.FP32, shape: ["N", 2] });
  const node = (opType: string, output: string) =>
    onnx.NodeProto.create({ opType, name: output, input: ["a", "b"], output: [output] });
  return encode(
    [node("Add", "sum"), node("Mul", "product")],
    [tensor("a"), tensor("b")],
    [tensor("sum"), tensor("product")],
    "first,second",
  );
}

function encode(
  node: InstanceType<typeof onnx.NodeProto>[],
  inputs: readonly TestTensor[],
  outputs: readonly TestTensor[],
  labels?: string,
): Uint8Array {
  const model = onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 17 }],
    metadataProps: labels === undefined ? [] : [{ key: "kedge.labels", value: labels }],
    graph: { name: "g", node, input: inputs.map(valueInfo), output: outputs.map(valueInfo) },
  });
  return onnx.ModelProto.encode(model).finish();
}
