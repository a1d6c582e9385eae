import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage, KedgeError } from "@kedge/domain";
import {
  arrayField,
  fieldError,
  type JsonObject,
  objectField,
  own,
  parseJson,
  shapeField,
  stringField,
} from "./json.ts";
import { MAX_RANK } from "./tensor.ts";

/** An input of the warm-up request; its elements are all `fill`. */
export interface WarmUpInput {
  readonly shape: readonly number[];
  readonly fill: number;
}

/** Which output decides the prediction label, and how. */
export interface PredictionRule {
  /** Undefined = the model's first output. */
  readonly output: string | undefined;
  /** One label per element of a row; with two labels a single element is a score against `threshold`. */
  readonly labels: readonly string[];
  readonly threshold: number;
}

/** The content of a model's `model.json`, with defaults. */
export interface ModelSettings {
  readonly platform: string;
  /** Exactly the inputs of the warm-up request; undefined = all declared ones, variable sizes 1, zeros. */
  readonly warmUpInputs: ReadonlyMap<string, WarmUpInput> | undefined;
  readonly warmUpRuns: number;
  readonly prediction: PredictionRule | undefined;
  /** Largest first dimension of any input. */
  readonly maxBatchSize: number | undefined;
  readonly maxRequestBytes: number | undefined;
}

const KEYS = ["platform", "warmup", "labels", "prediction", "maxBatchSize", "maxRequestBytes"];
const DEFAULT_PLATFORM = "onnxruntime_onnx";
const MAX_LABELS = 10_000;

/**
 * Reads `model.json` from the model's folder; all defaults when there is none.
 *
 * @throws KedgeError INVALID_MODEL naming the field at fault.
 */
export async function readModelSettings(modelDir: string): Promise<ModelSettings> {
  const text = await readFile(join(modelDir, "model.json"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "{}";
    throw new KedgeError("INVALID_MODEL", `model.json cannot be read: ${errorMessage(error)}`, { cause: error });
  });
  try {
    return parseModelSettings(parseJson(text, "model.json"));
  } catch (error) {
    throw new KedgeError("INVALID_MODEL", errorMessage(error), { cause: error });
  }
}

/** The settings in a parsed `model.json`. Throws KedgeError INVALID_FIELD naming the field at fault. */
export function parseModelSettings(value: unknown): ModelSettings {
  const document = objectField(value, "model.json");
  refuseUnknown(document, KEYS, "model.json");
  const warmUp = objectField(own(document, "warmup") ?? {}, "warmup");
  refuseUnknown(warmUp, ["inputs", "runs"], "warmup");
  const platform = own(document, "platform");
  return {
    platform: platform === undefined ? DEFAULT_PLATFORM : stringField(platform, "platform", 64),
    warmUpInputs: parseWarmUpInputs(own(warmUp, "inputs")),
    warmUpRuns: count(own(warmUp, "runs"), "warmup.runs") ?? 1,
    prediction: parsePrediction(own(document, "prediction"), own(document, "labels")),
    maxBatchSize: count(own(document, "maxBatchSize"), "maxBatchSize"),
    maxRequestBytes: count(own(document, "maxRequestBytes"), "maxRequestBytes"),
  };
}

function parseWarmUpInputs(value: unknown): ReadonlyMap<string, WarmUpInput> | undefined {
  if (value === undefined) return undefined;
  const inputs = Object.entries(objectField(value, "warmup.inputs"));
  return new Map(
    inputs.map(([name, item]) => {
      const field = `warmup.inputs.${name}`;
      const input = objectField(item, field);
      refuseUnknown(input, ["shape", "fill"], field);
      const fill = own(input, "fill") ?? 0;
      if (typeof fill !== "number") throw fieldError(`${field}.fill`, "a number", fill);
      return [name, { shape: shapeField(own(input, "shape"), `${field}.shape`, MAX_RANK), fill }] as const;
    }),
  );
}

function parsePrediction(value: unknown, labels: unknown): PredictionRule | undefined {
  if (value === undefined && labels === undefined) return undefined;
  const rule = objectField(value ?? {}, "prediction");
  refuseUnknown(rule, ["output", "labels", "threshold"], "prediction");
  const output = own(rule, "output");
  const threshold = own(rule, "threshold") ?? 0.5;
  if (typeof threshold !== "number") throw fieldError("prediction.threshold", "a number", threshold);
  return {
    output: output === undefined ? undefined : stringField(output, "prediction.output"),
    labels: arrayField(own(rule, "labels") ?? labels, "labels", MAX_LABELS).map((label, i) =>
      stringField(label, `labels[${i}]`),
    ),
    threshold,
  };
}

function count(value: unknown, field: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  throw fieldError(field, "a whole number of at least 1", value);
}

function refuseUnknown(object: JsonObject, known: readonly string[], field: string): void {
  const key = Object.keys(object).find((candidate) => !known.includes(candidate));
  if (key !== undefined) throw fieldError(field, `only ${known.join(", ")}`, key);
}

/**
 * The model file of a folder: `model.onnx`, or the only `*.onnx` there is.
 *
 * @throws KedgeError INVALID_MODEL when there is none, or several without that name.
 */
export async function findModelFile(modelDir: string): Promise<string> {
  const names = await readdir(modelDir).catch((error: NodeJS.ErrnoException) => {
    throw new KedgeError("INVALID_MODEL", `the model folder cannot be read: ${error.message}`, { cause: error });
  });
  const found = names.filter((name) => name.endsWith(".onnx"));
  const name = found.includes("model.onnx") ? "model.onnx" : found.length === 1 ? found[0] : undefined;
  if (name !== undefined) return join(modelDir, name);
  throw new KedgeError(
    "INVALID_MODEL",
    `expected model.onnx or one *.onnx file in the model folder, found ${found.length}`,
  );
}
