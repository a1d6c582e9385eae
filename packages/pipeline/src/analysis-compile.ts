import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AnalysisAction,
  type AnalysisSpec,
  AnalysisSpecSchema,
  MetricKind,
  type MetricSpecSchema,
  type ThresholdSchema,
  WorseWhen,
} from "@kedge/proto";
import { type AnalysisFields, isOwnMetric } from "./analysis-schema.ts";

const OWN_KINDS = {
  errors: MetricKind.ERRORS,
  latency: MetricKind.LATENCY,
  predictions: MetricKind.PREDICTIONS,
  restarts: MetricKind.RESTARTS,
} as const;
const USER_KINDS = { samples: MetricKind.SAMPLES, mean: MetricKind.MEAN, count: MetricKind.COUNT } as const;
const WORSE = { higher: WorseWhen.HIGHER, lower: WorseWhen.LOWER, different: WorseWhen.DIFFERENT } as const;

/** The proto form of a checked analysis, defaults filled where leaving them out would not say the same. */
export function compileAnalysis(fields: AnalysisFields = {}): AnalysisSpec {
  return create(AnalysisSpecSchema, {
    alpha: fields.alpha ?? 0.01,
    disabled: fields.disabled ?? false,
    metrics: (fields.metrics ?? []).map(compileMetric),
    thresholds: (fields.thresholds ?? []).map(compileThreshold),
    action: fields.action === "pause" ? AnalysisAction.PAUSE : AnalysisAction.ROLLBACK,
    passMargin: fields["pass-margin"] ?? 0,
    passRequired: fields["pass-required"] ?? false,
    passEndsHolds: fields["pass-ends-holds"] ?? false,
    watchSeconds: fields.watch ?? 0,
  });
}

function compileMetric(
  metric: NonNullable<AnalysisFields["metrics"]>[number],
): MessageInitShape<typeof MetricSpecSchema> {
  const { name, ...fields } = typeof metric === "string" ? { name: metric } : metric;
  const [lower, upper] = fields.between ?? [0, 0];
  const worse = fields.worse ?? (name === "predictions" ? "different" : "higher");
  return {
    name,
    kind: isOwnMetric(name) ? OWN_KINDS[name] : USER_KINDS[fields.kind ?? "samples"],
    worseWhen: WORSE[worse],
    budget: fields.budget ?? 1,
    passMargin: fields["pass-margin"] ?? 0,
    ...{ lower, upper },
    ...(fields.tolerance === undefined ? {} : { tolerance: fields.tolerance }),
    ...(fields["tolerance-floor"] === undefined ? {} : { toleranceFloor: fields["tolerance-floor"] }),
  };
}

function compileThreshold(
  threshold: NonNullable<AnalysisFields["thresholds"]>[number],
): MessageInitShape<typeof ThresholdSchema> {
  const { metric, quantile = 0, "at-most": atMost, "at-least": atLeast } = threshold;
  return {
    ...{ metric, quantile },
    ...(atMost === undefined ? {} : { atMost }),
    ...(atLeast === undefined ? {} : { atLeast }),
    windowSeconds: threshold.window ?? 60,
    consecutive: threshold.consecutive ?? 1,
    minRequests: threshold["min-requests"] ?? 20,
  };
}
