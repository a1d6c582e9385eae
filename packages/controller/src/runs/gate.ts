import { type BaselineLookup, evaluateRule } from "@kedge/pipeline";
import type { GateJob, GateResult, GateRule, Job } from "@kedge/proto";

export type { BaselineLookup };

/** Jobs whose metrics a gate may look at. */
export interface GateScope {
  /** The jobs the gate needs; where a rule that names no job looks. */
  readonly needed: readonly Job[];
  /** Every job of the run. */
  readonly all: readonly Job[];
}

/** Evaluates a gate against the metrics that earlier jobs reported. */
export function evaluateGate(gate: GateJob, scope: GateScope, baseline: BaselineLookup): GateResult[] {
  return gate.rules.map((rule) => evaluateRule(rule, findMetric(rule, scope), baseline));
}

function findMetric(rule: GateRule, { needed, all }: GateScope): number | undefined {
  const candidates = rule.job === "" ? needed : all.filter((job) => job.spec?.name === rule.job);
  for (const job of candidates) if (Object.hasOwn(job.metrics, rule.metric)) return job.metrics[rule.metric];
  return undefined;
}
