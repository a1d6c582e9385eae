import { type AnalysisSpec, MetricKind, type MetricSpec, type Strategy, type Threshold, WorseWhen } from "@kedge/proto";
import { isMetricName, MAX_USER_METRICS, OWN_METRIC_NAMES } from "./metric-names.ts";
import type { SpecProblem } from "./spec-problem.ts";

const USER_KINDS: readonly MetricKind[] = [MetricKind.SAMPLES, MetricKind.MEAN, MetricKind.COUNT];
const RESTARTS = "restarts";
const BY_GATEWAY = ["errors", "latency"];

/**
 * What is wrong with the metrics of an analysis that gateways do not see (restarts, and users' own), and with limits on
 * them. Paths begin in the analysis.
 */
export function ownMetricProblems(analysis: AnalysisSpec | undefined, strategy: Strategy | undefined): SpecProblem[] {
  const { metrics = [], thresholds = [] } = analysis ?? {};
  return [
    ...metrics.flatMap((metric, i) => under(["metrics", i], metricProblems(metric))),
    ...under(["metrics"], listProblems(metrics, strategy)),
    ...thresholds.flatMap((threshold, i) => under(["thresholds", i], thresholdProblems(threshold, metrics))),
  ];
}

function metricProblems(metric: MetricSpec): SpecProblem[] {
  if (metric.kind === MetricKind.UNSPECIFIED) return [{ path: ["kind"], message: "a kind must be given" }];
  if (metric.kind === MetricKind.RESTARTS) {
    const hasName = metric.name !== "" && metric.name !== RESTARTS;
    const named = hasName
      ? [{ path: ["name"], message: `must be ${RESTARTS}, not "${metric.name.slice(0, 80)}"` }]
      : [];
    return [...named, ...worseProblems(metric, [WorseWhen.HIGHER]), ...numberProblems(metric)];
  }
  return USER_KINDS.includes(metric.kind) ? userMetricProblems(metric) : [];
}

function userMetricProblems(metric: MetricSpec): SpecProblem[] {
  const { name, kind, lower, upper } = metric;
  const problems = [...nameProblems(name), ...numberProblems(metric)];
  if (kind === MetricKind.MEAN) {
    problems.push(...worseProblems(metric, [WorseWhen.HIGHER, WorseWhen.LOWER]));
    if (!(Number.isFinite(lower) && Number.isFinite(upper) && lower < upper)) {
      problems.push({
        path: ["upper"],
        message: "bounds of the values are needed with kind mean, the lower one first",
      });
    }
    if (metric.passMargin >= 1)
      problems.push({ path: ["pass_margin"], message: "must be below 1: a part of the range" });
    return problems;
  }
  if (kind === MetricKind.COUNT) {
    problems.push(...worseProblems(metric, [WorseWhen.HIGHER], "count what is bad, or use kind mean"));
  }
  if (lower !== 0 || upper !== 0) problems.push({ path: ["upper"], message: "bounds are for kind mean" });
  return problems;
}

function nameProblems(name: string): SpecProblem[] {
  const path = ["name"];
  if (OWN_METRIC_NAMES.some((own) => own === name)) return [{ path, message: `${name} is measured by Kedge itself` }];
  if (isMetricName(name)) return [];
  const message = `"${name.slice(0, 80)}" is not a metric name of Prometheus: letters, digits, _ and :, not a digit first`;
  return [{ path, message }];
}

function worseProblems({ worseWhen }: MetricSpec, possible: readonly WorseWhen[], hint?: string): SpecProblem[] {
  if (worseWhen === WorseWhen.UNSPECIFIED || possible.includes(worseWhen)) return [];
  const words = possible.map((each) => (WorseWhen[each] ?? "").toLowerCase()).join(" or ");
  return [
    { path: ["worse_when"], message: `it can only be worse when ${words}`, ...(hint === undefined ? {} : { hint }) },
  ];
}

function numberProblems({ kind, budget, passMargin, worseWhen, tolerance, toleranceFloor }: MetricSpec): SpecProblem[] {
  const figures = { budget, pass_margin: passMargin, tolerance: tolerance ?? 0, tolerance_floor: toleranceFloor ?? 0 };
  const problems: SpecProblem[] = [];
  for (const [field, value] of Object.entries(figures)) {
    if (!(value >= 0 && Number.isFinite(value))) problems.push({ path: [field], message: "must be 0 or more" });
  }
  if (tolerance === undefined && toleranceFloor === undefined) return problems;
  const path = [tolerance === undefined ? "tolerance_floor" : "tolerance"];
  if (kind !== MetricKind.SAMPLES) problems.push({ path, message: "a tolerance is for latency, and for kind samples" });
  else if (worseWhen === WorseWhen.DIFFERENT)
    problems.push({ path, message: "a tolerance needs a side to be worse on" });
  return problems;
}

function listProblems(metrics: readonly MetricSpec[], strategy: Strategy | undefined): SpecProblem[] {
  const own = [...metrics.entries()].filter(
    ([, { kind }]) => kind === MetricKind.RESTARTS || USER_KINDS.includes(kind),
  );
  const users = own.filter(([, { kind }]) => kind !== MetricKind.RESTARTS);
  const names = own.map(([, metric]) => nameOf(metric));
  const again = own.find((_, i) => names.indexOf(names[i] ?? "") < i);
  const problems: SpecProblem[] = [];
  if (again !== undefined) problems.push({ path: [again[0], "name"], message: `${nameOf(again[1])} is there already` });
  const [surplus] = users[MAX_USER_METRICS] ?? [];
  if (surplus !== undefined)
    problems.push({ path: [surplus], message: `at most ${MAX_USER_METRICS} metrics of your own are judged` });
  const [first] = users[0] ?? [];
  if (first !== undefined && isByUser(strategy)) {
    const message = "metrics of your own are told by request, and this strategy assigns users at random";
    problems.push({ path: [first], message, hint: "leave sticky out, or this metric" });
  }
  return problems;
}

/** Tells whether it is users that are assigned at random, not requests. */
function isByUser(strategy: Strategy | undefined): boolean {
  const kind = strategy?.kind;
  return strategy?.sticky !== undefined || (kind?.case === "abTest" && kind.value.by.case === "hash");
}

function thresholdProblems({ metric, quantile }: Threshold, metrics: readonly MetricSpec[]): SpecProblem[] {
  if (BY_GATEWAY.includes(metric)) return [];
  const spec = metrics.find((each) => nameOf(each) === metric);
  if (spec === undefined || !(spec.kind === MetricKind.RESTARTS || USER_KINDS.includes(spec.kind))) {
    const message = `"${metric.slice(0, 80)}" is not one of the metrics that have figures for limits`;
    return [
      {
        path: ["metric"],
        message,
        hint: "errors, latency, or restarts and metrics of your own that the analysis lists",
      },
    ];
  }
  const isQuantile = quantile > 0 && quantile < 1;
  if (spec.kind === MetricKind.SAMPLES && !isQuantile) {
    return [{ path: ["quantile"], message: "a quantile between 0 and 1 is needed with kind samples" }];
  }
  if (spec.kind === MetricKind.SAMPLES || quantile === 0) return [];
  return [{ path: ["quantile"], message: "a quantile is for latency and kind samples" }];
}

function nameOf({ name, kind }: MetricSpec): string {
  return kind === MetricKind.RESTARTS ? RESTARTS : name;
}

function under(path: SpecProblem["path"], problems: readonly SpecProblem[]): SpecProblem[] {
  return problems.map((problem) => ({ ...problem, path: [...path, ...problem.path] }));
}
