import { KedgeError } from "@kedge/domain";
import { type Samples, sampleQuantile } from "../evidence/sample-table.ts";
import { checkWindow } from "./check-window.ts";
import { formatNumber } from "./format.ts";
import type { Judge, JudgeVerdict, JudgeWindow } from "./judge-types.ts";
import { mergeWindows } from "./merge-windows.ts";
import type { MetricOptions } from "./metric-options.ts";
import { isEventCount, isMoments } from "./metric-value.ts";
import { StateReader, StateWriter } from "./state-bytes.ts";
import { loadWindow, saveWindow } from "./window-bytes.ts";

/** A fixed limit (an SLO) on the canary alone. */
export interface ThresholdRule {
  /** "errors" (rate), "latency", or a declared metric: rate of events, mean of a bounded one, quantile of a distribution. */
  readonly metric: string;
  /** The measured value must not be above; or below. At least one is given. */
  readonly max?: number;
  readonly min?: number;
  /** Of latency and distributions; default 0.95. */
  readonly quantile?: number;
  /** Canary's requests that one measurement is over; default 100. Without them nothing is measured, so nothing fails. */
  readonly minRequests?: number;
  /** Measurements in a row out of range that mean `rollback`; default 1. */
  readonly failures?: number;
}

/** How a threshold judge decides. */
export interface ThresholdJudgeOptions {
  /** At least one. */
  readonly rules: readonly ThresholdRule[];
  /** The user's metrics that rules name. */
  readonly metrics?: readonly MetricOptions[];
  /** Measurements in a row within range, of every rule, that mean `pass`; default 5. */
  readonly passes?: number;
  /** From an earlier judge's `state()` with as many rules. */
  readonly state?: Uint8Array;
}

const STATE_VERSION = 1;

/**
 * The simple alternative to `createJudge`: fixed limits, with no guarantee about error and no comparison with the
 * baseline. Its verdicts' evidence is always 1.
 *
 * @throws KedgeError INVALID_OPTION for rules without a limit; INVALID_FIELD for a state it did not write.
 */
export function createThresholdJudge(options: ThresholdJudgeOptions): Judge {
  for (const { metric, max, min } of options.rules) {
    if (max !== undefined || min !== undefined) continue;
    throw new KedgeError("INVALID_OPTION", `rule on ${metric}: expected max or min`, { field: metric });
  }
  if (options.rules.length === 0) throw new KedgeError("INVALID_OPTION", "rules: expected at least one, got none");
  return new ThresholdJudge(options);
}

interface Progress {
  readonly rule: ThresholdRule;
  failed: number;
  passed: number;
  /** NaN before the first measurement. */
  value: number;
  gathered: JudgeWindow | undefined;
}

class ThresholdJudge implements Judge {
  readonly #metrics: readonly MetricOptions[];
  readonly #passes: number;
  readonly #progress: readonly Progress[];
  #broken: Progress | undefined;

  constructor({ rules, metrics = [], passes = 5, state }: ThresholdJudgeOptions) {
    this.#metrics = metrics;
    this.#passes = passes;
    this.#progress = rules.map((rule) => ({ rule, failed: 0, passed: 0, value: Number.NaN, gathered: undefined }));
    if (state !== undefined && state.length > 0) this.#load(state);
  }

  observe(window: JudgeWindow): JudgeVerdict {
    const { window: checked, problems } = checkWindow(window, this.#metrics);
    if (checked !== undefined) for (const progress of this.#progress) this.#measure(progress, checked);
    const verdict = this.verdict();
    return problems.length === 0
      ? verdict
      : { ...verdict, reason: `ignored: ${problems.join(", ")}; ${verdict.reason}` };
  }

  verdict(): JudgeVerdict {
    if (this.#broken !== undefined) return verdictOf("rollback", this.#broken, "out of its limits");
    const slowest = this.#progress.reduce((a, b) => (b.passed < a.passed ? b : a));
    if (slowest.passed >= this.#passes) return verdictOf("pass", slowest, "within its limits");
    const state = Number.isNaN(slowest.value) ? "not measured yet" : "not decided";
    return verdictOf("continue", slowest, state);
  }

  state(): Uint8Array {
    const out = new StateWriter();
    out.number(this.#progress.length);
    out.number(this.#broken === undefined ? 0 : 1 + this.#progress.indexOf(this.#broken));
    for (const { failed, passed, value, gathered } of this.#progress) {
      for (const number of [failed, passed, value, gathered === undefined ? 0 : 1]) out.number(number);
      if (gathered !== undefined) saveWindow(out, gathered);
    }
    return out.bytes(STATE_VERSION);
  }

  #load(bytes: Uint8Array): void {
    const from = new StateReader(bytes, STATE_VERSION);
    from.expect(this.#progress.length);
    const broken = from.count();
    for (const progress of this.#progress) {
      progress.failed = from.number();
      progress.passed = from.number();
      progress.value = from.number();
      progress.gathered = from.number() === 0 ? undefined : loadWindow(from);
    }
    from.end();
    this.#broken = this.#progress[broken - 1];
  }

  #measure(progress: Progress, window: JudgeWindow): void {
    const { rule } = progress;
    const gathered = progress.gathered === undefined ? window : mergeWindows(progress.gathered, window);
    progress.gathered = gathered;
    if (gathered.canary.requests < (rule.minRequests ?? 100)) return;
    const value = measured(gathered, rule);
    if (value === undefined) return;
    progress.gathered = undefined;
    progress.value = value;
    const isWithin = value <= (rule.max ?? Infinity) && value >= (rule.min ?? Number.NEGATIVE_INFINITY);
    progress.failed = isWithin ? 0 : progress.failed + 1;
    progress.passed = isWithin ? progress.passed + 1 : 0;
    if (progress.failed >= (rule.failures ?? 1)) this.#broken ??= progress;
  }
}

/** A rule's metric in the canary; undefined without data. */
function measured({ canary }: JudgeWindow, { metric, quantile = 0.95 }: ThresholdRule): number | undefined {
  if (metric === "errors") return canary.errors / canary.requests;
  const value = metric === "latency" ? canary.latencyMs : canary.metrics?.[metric];
  if (value === undefined) return undefined;
  if (isEventCount(value)) return value.exposure > 0 ? value.events / value.exposure : undefined;
  if (isMoments(value)) return value.count > 0 ? value.sum / value.count : undefined;
  return quantileOf(value, quantile);
}

function quantileOf(samples: Samples, quantile: number): number | undefined {
  const value = sampleQuantile(samples, quantile);
  return Number.isNaN(value) ? undefined : value;
}

function verdictOf(verdict: JudgeVerdict["verdict"], { rule, value }: Progress, state: string): JudgeVerdict {
  const limits = [
    rule.min === undefined ? "" : `at least ${rule.min}`,
    rule.max === undefined ? "" : `at most ${rule.max}`,
  ];
  const limit = limits.filter((text) => text !== "").join(", ");
  const measuredText = Number.isNaN(value) ? "no measurement" : formatNumber(value);
  return {
    verdict,
    metric: rule.metric,
    evidence: 1,
    effect: Number.isNaN(value) ? 1 : value / (rule.max ?? rule.min ?? 1),
    interval: { low: 0, high: Infinity },
    reason: `${rule.metric} ${state}: ${measuredText}, ${limit} wanted`,
    missing: [],
  };
}
