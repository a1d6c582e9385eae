import { create } from "@bufbuild/protobuf";
import {
  Comparison,
  type GateResult,
  GateResultSchema,
  type GateRule,
  type PlannedGateRule,
  PlannedGateRuleSchema,
} from "@kedge/proto";

/** Looks up a metric of a model version; undefined when the version or the metric is not there. */
export type BaselineLookup = (model: string, version: string, metric: string) => number | undefined;

/**
 * Holds one rule of a gate against the value of its metric. A metric nobody reported (undefined) fails the rule and says
 * so; a baseline that does not exist yet passes it and says so, since a first version has nothing to be compared with.
 */
export function evaluateRule(rule: GateRule, value: number | undefined, baseline: BaselineLookup): GateResult {
  const result = create(GateResultSchema, { rule, threshold: rule.threshold });
  if (value === undefined) {
    result.message = `no job reported a metric "${rule.metric}"`;
    return result;
  }
  result.value = value;
  if (rule.baseline) {
    const { model, version } = rule.baseline;
    const reference = baseline(model, version, rule.metric);
    if (reference === undefined) {
      result.passed = true;
      result.message = `${rule.metric} ${value}: nothing to compare with, ${model}:${version} has no such metric`;
      return result;
    }
    result.threshold = reference + rule.threshold;
  }
  const atMost = rule.comparison === Comparison.AT_MOST;
  result.passed = atMost ? value <= result.threshold : value >= result.threshold;
  result.message = `${rule.metric} ${value} ${result.passed ? "is" : "is not"} at ${atMost ? "most" : "least"} ${result.threshold}`;
  return result;
}

/** What one rule of a gate would hold a value against now, with the value of its baseline if it has one. */
export function planRule(rule: GateRule, baseline: BaselineLookup): PlannedGateRule {
  const side = rule.comparison === Comparison.AT_MOST ? "most" : "least";
  const planned = create(PlannedGateRuleSchema, { rule, threshold: rule.threshold });
  if (rule.baseline === undefined) {
    planned.message = `${rule.metric} must be at ${side} ${rule.threshold}`;
    return planned;
  }
  const { model, version } = rule.baseline;
  const reference = baseline(model, version, rule.metric);
  if (reference === undefined) {
    planned.message = `any ${rule.metric} passes: nothing to compare with, ${model}:${version} has no such metric`;
    return planned;
  }
  planned.baseline = reference;
  planned.threshold = reference + rule.threshold;
  const offset = rule.threshold < 0 ? rule.threshold : `+${rule.threshold}`;
  planned.message = `${rule.metric} must be at ${side} ${planned.threshold}: ${model}:${version} has ${reference}, ${offset}`;
  return planned;
}
