import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Threshold, type Verdict, VerdictKind, VerdictSchema, type Window } from "@kedge/proto";
import { latencyCounts, totalsOf } from "./judge-windows.ts";

interface Gathered {
  readonly sinceMs: number;
  requests: number;
  errors: number;
  /** Response times: how many were at most this many milliseconds, and above the bound before. */
  readonly latency: Map<number, number>;
}

interface Rule {
  readonly threshold: Threshold;
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

  constructor(thresholds: readonly Threshold[], nowMs: number) {
    this.#rules = thresholds.map((threshold) => ({ threshold, gathered: gatheredFrom(nowMs), outOfBounds: 0 }));
  }

  /** Takes a window; gives the verdict against the revision, if this window brings one about. */
  observe(window: Window, revision: number, nowMs: number): Verdict | undefined {
    let verdict: Verdict | undefined;
    for (const rule of this.#rules) {
      const seconds = rule.threshold.windowSeconds || DEFAULT_WINDOW_SECONDS;
      if (nowMs - rule.gathered.sinceMs >= seconds * 1000) verdict ??= measure(rule, nowMs);
      gather(rule.gathered, window, revision);
    }
    return verdict;
  }
}

function gatheredFrom(sinceMs: number): Gathered {
  return { sinceMs, requests: 0, errors: 0, latency: new Map() };
}

function gather(gathered: Gathered, window: Window, revision: number): void {
  const { requests, errors } = totalsOf(window, revision);
  gathered.requests += Number(requests);
  gathered.errors += Number(errors);
  for (const [bound, count] of latencyCounts(window, revision)) {
    gathered.latency.set(bound, (gathered.latency.get(bound) ?? 0) + count);
  }
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

function figureOf({ metric, quantile }: Threshold, { requests, errors, latency }: Gathered): number | undefined {
  if (metric === "errors") return errors / requests;
  const bounds = [...latency].toSorted(([a], [b]) => a - b);
  const answers = bounds.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [bound, count] of bounds) {
    seen += count;
    if (seen >= quantile * answers) return bound;
  }
  return undefined;
}

function reasonOf({ threshold, outOfBounds }: Rule, { requests }: Gathered, value: number): string {
  const { metric, quantile, atMost, atLeast } = threshold;
  const shown = (figure: number) =>
    metric === "errors" ? `${(100 * figure).toFixed(2)} %` : `${figure.toFixed(1)} ms`;
  const what = quantile > 0 ? `${metric} at quantile ${quantile}` : metric;
  const limits = [
    ...(atMost === undefined ? [] : [`at most ${shown(atMost)}`]),
    ...(atLeast === undefined ? [] : [`at least ${shown(atLeast)}`]),
  ];
  const times = outOfBounds > 1 ? `, ${outOfBounds} times in a row` : "";
  return `${what} is ${shown(value)} over ${requests} requests, ${limits.join(" and ")} wanted${times}`;
}
