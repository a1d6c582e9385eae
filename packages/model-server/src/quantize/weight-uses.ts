import type { GraphProto, NodeProto } from "@kedge/proto/onnx-graph";

/** Operators that only move elements about: a weight that goes through them is a weight still. */
const LAYOUT = new Set(["Identity", "Slice", "Squeeze", "Unsqueeze", "Concat", "Transpose", "Reshape"]);

/**
 * The values of a graph and the graphs in it that are used as weights, each with the dimension that counts its channels.
 * Where uses differ, one of them decides: any dimension gives right results.
 */
export function findWeightUses(graph: GraphProto): Map<string, number> {
  const uses = new Map<string, number>();
  visit(graph, uses);
  return uses;
}

/** Nodes stand in the order of their computation, so backwards each comes after those that use it. */
function visit(graph: GraphProto, uses: Map<string, number>): void {
  for (const node of graph.node.toReversed()) {
    for (const inner of graphsOf(node)) visit(inner, uses);
    for (const [name, axis] of weightsOf(node)) uses.set(name, axis);
    if (!isStandard(node) || !LAYOUT.has(node.opType ?? "")) continue;
    if (!node.output.some((name) => uses.has(name))) continue;
    const moved = node.opType === "Concat" ? node.input : node.input.slice(0, 1);
    for (const name of moved) if (!uses.has(name)) uses.set(name, 0);
  }
}

/** The graphs that a node holds: the branches of an If, the body of a Loop. */
export function graphsOf({ attribute }: NodeProto): GraphProto[] {
  return attribute.flatMap(({ g, graphs }) => (g === undefined ? graphs : [g, ...graphs]));
}

/** Tells whether a node's operator is ONNX's own. */
export function isStandard({ domain = "" }: NodeProto): boolean {
  return domain === "" || domain === "ai.onnx";
}

/** Inputs of a node that are weights, with their channels' dimension; negative: from the end. */
function weightsOf(node: NodeProto): [string, number][] {
  const [first = "", second = "", third = ""] = node.input;
  if (!isStandard(node)) return [];
  switch (node.opType) {
    case "MatMul":
      // Either side may be the weight: columns of the right one, rows of the left one.
      return named([second, -1], [first, -2]);
    case "Gemm":
      return named(
        [second, attributeOf(node, "transB") === 0n ? 1 : 0],
        [first, attributeOf(node, "transA") === 0n ? 0 : 1],
      );
    case "Conv":
      return named([second, 0]);
    case "ConvTranspose":
      return named([second, attributeOf(node, "group", 1n) === 1n ? 1 : 0]);
    case "Gather":
      return named([first, 0]);
    case "LSTM":
    case "GRU":
    case "RNN":
      return named([second, 1], [third, 1]);
    default:
      return [];
  }
}

function named(...inputs: [string, number][]): [string, number][] {
  return inputs.filter(([name]) => name !== "");
}

function attributeOf({ attribute }: NodeProto, name: string, fallback = 0n): bigint {
  return attribute.find((each) => each.name === name)?.i ?? fallback;
}
