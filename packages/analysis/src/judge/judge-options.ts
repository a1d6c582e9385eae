import { KedgeError } from "@kedge/domain";
import type { JudgeOptions, LatencyOptions } from "./judge-types.ts";
import type { MetricOptions } from "./metric-options.ts";
import { NO_TOLERANCE, type Tolerance } from "./tolerance.ts";

/** Options with defaults, checked. */
export interface ResolvedJudgeOptions {
  readonly alpha: number;
  readonly margin: number;
  readonly negligibleErrorRate: number;
  readonly labelMargin: number;
  readonly latency: Required<LatencyOptions>;
  readonly metrics: readonly MetricOptions[];
  readonly unit: "request" | "user";
  /** Part of the wealth by metric name. */
  shareOf(metric: string): number;
}

const BUILT_IN_SHARES: Readonly<Record<string, number>> = { errors: 0.7, latency: 0.25, predictions: 0.05 };
const OTHER_SHARE = 0.1;
const MAX_METRICS = 64;

/** @throws KedgeError INVALID_OPTION for options out of range or contradictory. */
export function resolveJudgeOptions(options: JudgeOptions): ResolvedJudgeOptions {
  const resolved = {
    alpha: options.alpha || 0.01,
    margin: options.margin ?? 0.5,
    negligibleErrorRate: options.negligibleErrorRate ?? 0.002,
    labelMargin: options.labelMargin ?? 0.1,
    latency: { tolerance: options.latency?.tolerance ?? NO_TOLERANCE, settle: options.latency?.settle ?? 0 },
    metrics: options.metrics ?? [],
    unit: options.unit ?? "request",
  };
  for (const name of ["alpha", "negligibleErrorRate", "labelMargin"] as const) {
    if (!(resolved[name] > 0 && resolved[name] < 1)) throw invalid(name, "between 0 and 1", resolved[name]);
  }
  if (!isPositive(resolved.margin)) throw invalid("margin", "a number above 0", resolved.margin);
  const { tolerance, settle } = resolved.latency;
  checkTolerance("latency", tolerance);
  if (!(settle >= 0 && Number.isFinite(settle))) throw invalid("latency.settle", "a number of answers", settle);
  const shares = options.shares ?? {};
  for (const [name, share] of Object.entries(shares)) {
    if (!isPositive(share)) throw invalid(`shares.${name}`, "a number above 0", share);
  }
  checkMetrics(resolved.metrics);
  return { ...resolved, shareOf: (name) => shares[name] ?? BUILT_IN_SHARES[name] ?? OTHER_SHARE };
}

function checkMetrics(metrics: readonly MetricOptions[]): void {
  if (metrics.length > MAX_METRICS) throw invalid("metrics", `at most ${MAX_METRICS}`, metrics.length);
  const taken = new Set(Object.keys(BUILT_IN_SHARES));
  for (const metric of metrics) {
    if (metric.name === "" || taken.has(metric.name)) throw invalid("metrics", "names used once each", metric.name);
    taken.add(metric.name);
    if (metric.margin !== undefined && !isPositive(metric.margin)) {
      throw invalid(`margin of ${metric.name}`, "a number above 0", metric.margin);
    }
    if (metric.kind === "distribution" && metric.tolerance !== undefined) {
      checkTolerance(metric.name, metric.tolerance);
      if (metric.worse === "different")
        throw invalid(`tolerance of ${metric.name}`, "none with worse: different", metric.tolerance);
    }
    if (metric.kind === "bounded" && !isPositive(metric.high - metric.low)) {
      throw invalid(`bounds of ${metric.name}`, "low below high", [metric.low, metric.high]);
    }
  }
}

function checkTolerance(name: string, tolerance: Tolerance): void {
  for (const value of [tolerance.part, tolerance.floor]) {
    if (!(value >= 0 && Number.isFinite(value)))
      throw invalid(`tolerance of ${name}`, "numbers of 0 or more", tolerance);
  }
}

function isPositive(value: number): boolean {
  return value > 0 && Number.isFinite(value);
}

function invalid(field: string, expected: string, got: unknown): KedgeError {
  return new KedgeError("INVALID_OPTION", `${field}: expected ${expected}, got ${JSON.stringify(got)}`, { field });
}
