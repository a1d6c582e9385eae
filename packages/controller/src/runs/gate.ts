import { create } from "@bufbuild/protobuf";
import { type BaselineLookup, evaluateRule, planRule } from "@kedge/pipeline";
import {
  type GateJob,
  type GatePlan,
  GatePlanSchema,
  type GateResult,
  GateResultSchema,
  type GateRule,
  type Job,
  type JobSpec,
  JobState,
  type Run,
} from "@kedge/proto";

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

/** Rules of a job: of the gate that it is, or of the gates among its steps. */
function rulesOf({ work }: JobSpec): GateRule[] {
  if (work.case === "gate") return work.value.rules;
  if (work.case !== "steps") return [];
  return work.value.steps.flatMap(({ action }) => (action.case === "gate" ? action.value.rules : []));
}

/** What the gates of a pipeline would hold values against now, by job. */
export function planGates(jobs: readonly JobSpec[], baseline: BaselineLookup): Record<string, GatePlan> {
  const plans = jobs.flatMap((spec): [string, GatePlan][] => {
    const rules = rulesOf(spec).map((rule) => planRule(rule, baseline));
    return rules.length === 0 ? [] : [[spec.name, create(GatePlanSchema, { rules })]];
  });
  return Object.fromEntries(plans);
}

/** The run with what its gates that have not been looked at would hold values against now; a copy where there are any. */
export function withPlannedGates(run: Run, baseline: BaselineLookup): Run {
  const isPlanned = ({ state, spec }: Job): boolean => state === JobState.WAITING && spec?.work.case === "gate";
  if (!run.jobs.some(isPlanned)) return run;
  const jobs = run.jobs.map((job) => {
    if (job.spec === undefined || !isPlanned(job)) return job;
    const gateResults = rulesOf(job.spec).map((rule) => {
      const { threshold, message } = planRule(rule, baseline);
      return create(GateResultSchema, { rule, threshold, message, pending: true });
    });
    return { ...job, gateResults };
  });
  return { ...run, jobs };
}
