// The slice of the ONNX format that model signatures are read from.
export * from "../gen/onnx/onnx_pb.js";
