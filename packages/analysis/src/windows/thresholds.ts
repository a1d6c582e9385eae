import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AnalysisSpec,
  type MetricSpec,
  type RevisionWindow,
  type Threshold,
  type Verdict,
  VerdictKind,
  VerdictSchema,
  type Window,
} from "@kedge/proto";
import { sampleQuantile } from "../evidence/sample-table.ts";
import { formatNumber } from "../judge/format.ts";
import type { MetricValue } from "../judge/judge-types.ts";
import { mergeValues } from "../judge/merge-windows.ts";
import { isEventCount, isMoments } from "../judge/metric-value.ts";
import { latencyCounts, totalsOf } from "./judge-windows.ts";
import { RESTARTS, restartsPerHour, toldValue } from "./own-metrics.ts";

interface Gathered {
  readonly sinceMs: number;
  requests: number;
  errors: number;
  /** Response times: how many were at most this many milliseconds, and above the bound before. */
  readonly latency: Map<number, number>;
  /** Of a metric that gateways do not see. */
  own: MetricValue | undefined;
}

interface Rule {
  readonly threshold: Threshold;
  /** Of a user's metric: what it is. */
  readonly spec: MetricSpec | undefined;
  gathered: Gathered;
  outOfBounds: number;
}

const DEFAULT_WINDOW_SECONDS = 60;
const DEFAULT_MIN_REQUESTS = 20;

/**
 * Fixed limits on what a new revision does, beside its comparison with the old one: each figure is made of a stretch of
 * time, and so many of them in a row out of bounds are a verdict. Without a chance of error to go by, their evidence is 1.
 * What was gathered is not stored: after a restart of the controller it is gathered anew.
 */
export class Thresholds {
  readonly #rules: readonly Rule[];

  /** `analysis`: with its limits, and the metrics that they may name. */
  constructor(analysis: Pick<AnalysisSpec, "thresholds" | "metrics"> | undefined, nowMs: number) {
    this.#rules = (analysis?.thresholds ?? []).map((threshold) => {
      const spec = analysis?.metrics.find(({ name }) => name === threshold.metric);
      return { threshold, spec, gathered: gatheredFrom(nowMs), outOfBounds: 0 };
    });
  }

  /** Takes a window; gives the verdict against the revision, if this window brings one about. */
  observe(window: Window, revision: number, nowMs: number): Verdict | undefined {
    let verdict: Verdict | undefined;
    for (const rule of this.#rules) {
      const seconds = rule.threshold.windowSeconds || DEFAULT_WINDOW_SECONDS;
      if (nowMs - rule.gathered.sinceMs >= seconds * 1000) verdict ??= measure(rule, nowMs);
      gather(rule, window, revision);
    }
    return verdict;
  }
}

function gatheredFrom(sinceMs: number): Gathered {
  return { sinceMs, requests: 0, errors: 0, latency: new Map(), own: undefined };
}

function gather(rule: Rule, window: Window, revision: number): void {
  const { gathered } = rule;
  const { requests, errors } = totalsOf(window, revision);
  gathered.requests += Number(requests);
  gathered.errors += Number(errors);
  for (const [bound, count] of latencyCounts(window, revision)) {
    gathered.latency.set(bound, (gathered.latency.get(bound) ?? 0) + count);
  }
  const part = window.revisions.find((each) => each.revision === revision);
  const value = part && ownValue(rule, part);
  if (value !== undefined) gathered.own = gathered.own === undefined ? value : mergeValues(gathered.own, value);
}

function ownValue({ threshold, spec }: Rule, { exposure, metrics }: RevisionWindow): MetricValue | undefined {
  if (threshold.metric === RESTARTS) return exposure && restartsPerHour(exposure);
  const told = metrics.find(({ name }) => name === threshold.metric);
  return spec && told && toldValue(spec, told);
}

/** Ends a stretch of time and begins the next. One with too few requests says nothing, neither good nor bad. */
function measure(rule: Rule, nowMs: number): Verdict | undefined {
  const { threshold, gathered } = rule;
  rule.gathered = gatheredFrom(nowMs);
  if (gathered.requests < (threshold.minRequests || DEFAULT_MIN_REQUESTS)) return undefined;
  const value = figureOf(threshold, gathered);
  if (value === undefined) return undefined;
  const isWithin = value <= (threshold.atMost ?? Infinity) && value >= (threshold.atLeast ?? Number.NEGATIVE_INFINITY);
  rule.outOfBounds = isWithin ? 0 : rule.outOfBounds + 1;
  if (rule.outOfBounds < (threshold.consecutive || 1)) return undefined;
  return create(VerdictSchema, {
    kind: VerdictKind.ROLLBACK,
    metric: threshold.metric,
    effect: value / ((value > (threshold.atMost ?? Infinity) ? threshold.atMost : threshold.atLeast) || 1),
    evidence: 1,
    reason: reasonOf(rule, gathered, value),
    at: timestampFromMs(nowMs),
  });
}

function figureOf({ metric, quantile }: Threshold, { requests, errors, latency, own }: Gathered): number | undefined {
  if (metric === "errors") return errors / requests;
  if (metric !== "latency") return own && ownFigure(own, quantile);
  const bounds = [...latency].toSorted(([a], [b]) => a - b);
  const answers = bounds.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [bound, count] of bounds) {
    seen += count;
    if (seen >= quantile * answers) return bound;
  }
  return undefined;
}

/** A mean, a quantile, or events by exposure; undefined without any. */
function ownFigure(value: MetricValue, quantile: number): number | undefined {
  if (isEventCount(value)) return value.exposure > 0 ? value.events / value.exposure : undefined;
  if (isMoments(value)) return value.count > 0 ? value.sum / value.count : undefined;
  const figure = sampleQuantile(value, quantile);
  return Number.isNaN(figure) ? undefined : figure;
}

function reasonOf({ threshold, outOfBounds }: Rule, { requests }: Gathered, value: number): string {
  const { metric, quantile, atMost, atLeast } = threshold;
  const shown = (figure: number) => figureText(metric, figure);
  const what = quantile > 0 ? `${metric} at quantile ${quantile}` : metric;
  const limits = [
    ...(atMost === undefined ? [] : [`at most ${shown(atMost)}`]),
    ...(atLeast === undefined ? [] : [`at least ${shown(atLeast)}`]),
  ];
  const times = outOfBounds > 1 ? `, ${outOfBounds} times in a row` : "";
  return `${what} is ${shown(value)} over ${requests} requests, ${limits.join(" and ")} wanted${times}`;
}

function figureText(metric: string, figure: number): string {
  if (metric === "errors") return `${(100 * figure).toFixed(2)} %`;
  if (metric === "latency") return `${figure.toFixed(1)} ms`;
  return metric === RESTARTS ? `${formatNumber(figure)} an hour and replica` : formatNumber(figure);
}
