import { create } from "@bufbuild/protobuf";
import { Comparison, type GateJob, type GateResult, GateResultSchema, type GateRule, type Job } from "@kedge/proto";

/** Looks up a metric of a model version; undefined when the version or the metric is not there. */
export type BaselineLookup = (model: string, version: string, metric: string) => number | undefined;

/** Jobs whose metrics a gate may look at. */
export interface GateScope {
  /** The jobs the gate needs; where a rule that names no job looks. */
  readonly needed: readonly Job[];
  /** Every job of the run. */
  readonly all: readonly Job[];
}

/**
 * Evaluates a gate against the metrics that earlier jobs reported.
 * A metric nobody reported fails the rule and says so; a baseline that does not exist yet passes it and says so,
 * since a first version has nothing to be compared with.
 */
export function evaluateGate(gate: GateJob, scope: GateScope, baseline: BaselineLookup): GateResult[] {
  return gate.rules.map((rule) => evaluateRule(rule, scope, baseline));
}

function evaluateRule(rule: GateRule, scope: GateScope, baseline: BaselineLookup): GateResult {
  const value = findMetric(rule, scope);
  const result = create(GateResultSchema, { rule, threshold: rule.threshold });
  if (value === undefined) {
    result.message = `no job reported a metric "${rule.metric}"`;
    return result;
  }
  result.value = value;
  if (rule.baseline) {
    const reference = baseline(rule.baseline.model, rule.baseline.version, rule.metric);
    if (reference === undefined) {
      result.passed = true;
      result.message = `${rule.metric} ${value}: nothing to compare with, ${rule.baseline.model}:${rule.baseline.version} has no such metric`;
      return result;
    }
    result.threshold = reference + rule.threshold;
  }
  const atMost = rule.comparison === Comparison.AT_MOST;
  result.passed = atMost ? value <= result.threshold : value >= result.threshold;
  result.message = `${rule.metric} ${value} ${result.passed ? "is" : "is not"} at ${atMost ? "most" : "least"} ${result.threshold}`;
  return result;
}

function findMetric(rule: GateRule, { needed, all }: GateScope): number | undefined {
  const candidates = rule.job === "" ? needed : all.filter((job) => job.spec?.name === rule.job);
  for (const job of candidates) if (Object.hasOwn(job.metrics, rule.metric)) return job.metrics[rule.metric];
  return undefined;
}
