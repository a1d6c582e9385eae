import type { PredictionRule } from "./model-settings.ts";
import type { Tensors } from "./tensor.ts";

/** The response header that tells the gateway what was predicted. */
export const PREDICTION_HEADER = "kedge-prediction";

const MAX_LABEL_LENGTH = 64;

/** A label as a header may carry it: at most 64 characters of [A-Za-z0-9._-]; undefined when nothing is left. */
export function sanitiseLabel(label: string): string | undefined {
  const token = label.slice(0, MAX_LABEL_LENGTH).replaceAll(/[^A-Za-z0-9._-]/g, "_");
  return token === "" ? undefined : token;
}

/**
 * The label of the first row of an answer: the largest element's, or, for one element and two labels, the second label
 * from the threshold up. Undefined when the output is missing or has another number of elements than there are labels.
 */
export function predictLabel(rule: PredictionRule, outputs: Tensors): string | undefined {
  const tensor = rule.output === undefined ? Object.values(outputs)[0] : outputs[rule.output];
  if (tensor === undefined || tensor.datatype === "BYTES" || tensor.datatype === "FP16") return undefined;
  const size = tensor.shape.at(-1) ?? 1;
  const row = Array.from(tensor.data, Number).slice(0, size);
  if (row.length === 1 && rule.labels.length === 2) return rule.labels[Number(row[0]) >= rule.threshold ? 1 : 0];
  if (row.length !== rule.labels.length) return undefined;
  return rule.labels[row.reduce((best, value, index) => (value > (row[best] ?? value) ? index : best), 0)];
}
