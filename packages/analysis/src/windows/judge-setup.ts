import { KedgeError } from "@kedge/domain";
import {
  type AnalysisSpec,
  MetricKind,
  type MetricSpec,
  type RouteJudgement,
  type Threshold,
  WorseWhen,
} from "@kedge/proto";
import type { JudgeOptions } from "../judge/judge-types.ts";
import { isUserMetric, metricOptions, RESTARTS } from "./own-metrics.ts";

/** What windows tell that a judge can look at. */
export type OwnMetric = "errors" | "latency" | "predictions";

/** How a rollout is judged. */
export interface JudgeSetup {
  readonly options: Omit<JudgeOptions, "state">;
  /** What it is shown; the rest is left out of its windows. */
  readonly sees: ReadonlySet<OwnMetric>;
  /** Metrics of the user's that it is shown as well. */
  readonly userMetrics: readonly MetricSpec[];
  /** Whether it is shown the restarts of replicas. */
  readonly seesRestarts: boolean;
}

const NAMES: Readonly<Partial<Record<MetricKind, OwnMetric>>> = {
  [MetricKind.ERRORS]: "errors",
  [MetricKind.LATENCY]: "latency",
  [MetricKind.PREDICTIONS]: "predictions",
};
const WORSE: Readonly<Record<OwnMetric, WorseWhen>> = {
  errors: WorseWhen.HIGHER,
  latency: WorseWhen.HIGHER,
  predictions: WorseWhen.DIFFERENT,
};
const DEFAULT_METRICS: readonly OwnMetric[] = ["errors", "latency"];
/**
 * What a new revision may be slower by before it counts. A tenth is what a pass allows by default; below 2 ms a network
 * makes more difference than a model, and a process that is not yet warm is slower by so much.
 */
const LATENCY_TOLERANCE = { part: 0.1, floor: 2 };
/** The new revision's first answers, in which code is compiled, caches fill and connections are made. */
const SETTLE = 50;
const DEFAULT_MARGIN = 0.1;
/** A label's share changes by less than all of it. */
const MAX_LABEL_MARGIN = 0.99;

/** The judge that a rollout's analysis asks for. What a server does not carry out was refused when it was applied. */
export function judgeSetup({ alpha, analysis, byUser }: RouteJudgement): JudgeSetup {
  const listed = analysis?.metrics ?? [];
  const metrics = listed.flatMap((metric) => {
    const name = NAMES[metric.kind];
    return name === undefined ? [] : [{ name, metric }];
  });
  const labels = metrics.find(({ name }) => name === "predictions")?.metric.passMargin;
  const margin = analysis?.passMargin || DEFAULT_MARGIN;
  return {
    options: {
      alpha,
      margin,
      labelMargin: labels || Math.min(margin, MAX_LABEL_MARGIN),
      latency: { tolerance: toleranceOf(metrics.find(({ name }) => name === "latency")?.metric), settle: SETTLE },
      unit: byUser ? "user" : "request",
      metrics: listed.flatMap((metric) => metricOptions(metric, margin) ?? []),
      ...(listed.length === 0 ? {} : { shares: sharesOf(listed) }),
    },
    sees: new Set(listed.length === 0 ? DEFAULT_METRICS : metrics.map(({ name }) => name)),
    userMetrics: listed.filter(isUserMetric),
    seesRestarts: listed.some(({ kind }) => kind === MetricKind.RESTARTS),
  };
}

/** A tolerance of 0 alone means that any difference counts. */
function toleranceOf(metric: MetricSpec | undefined): { readonly part: number; readonly floor: number } {
  const part = metric?.tolerance ?? LATENCY_TOLERANCE.part;
  return { part, floor: metric?.toleranceFloor ?? (part === 0 ? 0 : LATENCY_TOLERANCE.floor) };
}

function sharesOf(metrics: readonly MetricSpec[]) {
  const nameOf = ({ name, kind }: MetricSpec) => NAMES[kind] ?? (kind === MetricKind.RESTARTS ? RESTARTS : name);
  return Object.fromEntries(metrics.map((metric) => [nameOf(metric), metric.budget || 1]));
}

/**
 * Refuses an analysis that the judge cannot carry out as it is written. Metrics that gateways do not see, and limits on them,
 * are checked with the strategy, see `strategyProblems`.
 *
 * @throws KedgeError INVALID_FIELD.
 */
export function assertJudgeable({ alpha, passMargin, metrics, thresholds }: AnalysisSpec): void {
  if (!(alpha >= 0 && alpha < 1)) throw invalid("alpha", `expected 0 to 1, got ${alpha}`);
  if (!(passMargin >= 0 && Number.isFinite(passMargin)))
    throw invalid("pass_margin", `expected 0 or more, got ${passMargin}`);
  for (const threshold of thresholds) assertThreshold(threshold);
  const seen = new Set<OwnMetric>();
  for (const metric of metrics) {
    const name = NAMES[metric.kind];
    if (name === undefined) continue;
    if (seen.has(name)) throw invalid("metrics", `${name} is there twice`);
    seen.add(name);
    assertMetric(name, metric);
  }
}

function assertMetric(name: OwnMetric, { worseWhen, budget, passMargin, tolerance, toleranceFloor }: MetricSpec): void {
  for (const value of [tolerance, toleranceFloor]) {
    if (value === undefined) continue;
    if (name !== "latency") throw invalid("metrics", `${name} has no tolerance; latency has`);
    if (!(value >= 0 && Number.isFinite(value))) throw invalid("metrics", "latency: expected a tolerance of 0 or more");
  }
  // A bare metric says nothing, and an unset word is read as "higher" wherever there is a choice.
  if (worseWhen !== WorseWhen.UNSPECIFIED && worseWhen !== WORSE[name]) {
    const only = WorseWhen[WORSE[name]].toLowerCase();
    throw invalid("metrics", `${name} can only be worse when ${only}`);
  }
  if (!(budget >= 0 && Number.isFinite(budget))) throw invalid("metrics", `${name}: expected a budget of 0 or more`);
  if (passMargin === 0) return;
  if (name !== "predictions") throw invalid("metrics", `${name} has the analysis's pass margin, not one of its own`);
  if (!(passMargin > 0 && passMargin < 1)) throw invalid("metrics", `${name}: expected a pass margin of 0 to 1`);
}

function assertThreshold({ metric, quantile, atMost, atLeast }: Threshold): void {
  if (atMost === undefined && atLeast === undefined) throw invalid("thresholds", `${metric} has no limit`);
  const isQuantile = quantile > 0 && quantile < 1;
  if (metric === "latency" && !isQuantile) throw invalid("thresholds", "latency needs a quantile between 0 and 1");
  if (metric === "errors" && quantile !== 0) throw invalid("thresholds", "errors are counted and have no quantile");
}

function invalid(field: string, problem: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `analysis.${field}: ${problem}`, { field: `analysis.${field}` });
}
