// The slice of the ONNX format that weights are rewritten by.
export * from "../gen/onnx/graph/graph_pb.js";
