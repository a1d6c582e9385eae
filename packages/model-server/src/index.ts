export type { Datatype, NumericData } from "./datatype.ts";
export { MODEL_SERVER_ENTRY } from "./entry.ts";
export type { FlagJson, HandlerFlags } from "./flags/handler-flags.ts";
export type {
  Handler,
  HandlerContext,
  HandlerRequest,
  HandlerResponse,
  Parameter,
  Parameters,
  PushedMetrics,
} from "./handler.ts";
export { type ModelSettings, type PredictionRule, parseModelSettings, type WarmUpInput } from "./model-settings.ts";
export { PREDICTION_HEADER } from "./prediction.ts";
export type { Signature, TensorSpec } from "./signature.ts";
export type { Tensor, TensorData, Tensors } from "./tensor.ts";
