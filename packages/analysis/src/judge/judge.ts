import { requestInformation } from "../information.ts";
import { Attendance } from "./attendance.ts";
import { checkWindow } from "./check-window.ts";
import type { ErrorTest } from "./error-test.ts";
import { formatNumber } from "./format.ts";
import { type ResolvedJudgeOptions, resolveJudgeOptions } from "./judge-options.ts";
import type { Judge, JudgeOptions, JudgeVerdict, JudgeWindow } from "./judge-types.ts";
import type { MetricTest } from "./metric-test.ts";
import { createErrorTest, createMetricTests } from "./metric-tests.ts";
import { Portfolio } from "./portfolio.ts";
import { StateReader, StateWriter } from "./state-bytes.ts";
import { Strata } from "./strata.ts";

const STATE_VERSION = 3;
/** What a mixture typically lags behind its best member, in nats; for forecasts only. */
const TYPICAL_LAG = 1;

/**
 * A judge of a new revision that may be looked at after every window: the chance that it ever says `rollback` of a canary
 * that is worse on no metric is at most alpha, however long it watches, however traffic, weight and base rates change. It
 * rests on each request (or user) going to the canary at random, independently of how it will fare. No traffic, or traffic
 * on one arm alone, is no evidence.
 *
 * @throws KedgeError INVALID_OPTION for options out of range; INVALID_FIELD for a state it did not write.
 */
export function createJudge(options: JudgeOptions = {}): Judge {
  const judge = new MetricJudge(resolveJudgeOptions(options));
  if (options.state !== undefined && options.state.length > 0) judge.load(options.state);
  return judge;
}

class MetricJudge implements Judge {
  readonly #options: ResolvedJudgeOptions;
  readonly #errors: ErrorTest;
  readonly #tests: readonly MetricTest[];
  readonly #strata = new Strata();
  readonly #portfolio: Portfolio;
  readonly #attendance: Attendance;
  /** Highest log wealth so far, and the metric with the largest part of it then. */
  #peak = { log: 0, metric: 0 };
  /** Requests judged, and the canary's expected part of them. */
  #requests = { total: 0, weighted: 0 };

  constructor(options: ResolvedJudgeOptions) {
    this.#options = options;
    this.#errors = createErrorTest(options);
    this.#tests = [this.#errors, ...createMetricTests(options)];
    this.#portfolio = new Portfolio(this.#tests.map(({ name }) => options.shareOf(name)));
    this.#attendance = new Attendance(this.#tests, new Set(options.metrics.map(({ name }) => name)));
  }

  observe(window: JudgeWindow): JudgeVerdict {
    const { window: checked, problems } = checkWindow(window, this.#options.metrics);
    // With all traffic on one arm there is nothing to compare.
    if (checked !== undefined && checked.weight > 0 && checked.weight < 1) {
      this.#attendance.observe(checked);
      for (const stratum of this.#strata.add(checked)) this.#judge(stratum);
    }
    const verdict = this.verdict();
    if (problems.length === 0) return verdict;
    const what = checked === undefined ? "window ignored" : "part of the window ignored";
    return { ...verdict, reason: `${what}: ${problems.join(", ")}; ${verdict.reason}` };
  }

  verdict(): JudgeVerdict {
    const { alpha } = this.#options;
    const missing = this.#attendance.missing;
    if (this.#peak.log >= Math.log(1 / alpha)) return this.#rollback(missing);
    if (missing.length === 0) {
      const passed = this.#pass();
      if (passed !== undefined) return passed;
    }
    return this.#undecided(missing);
  }

  state(): Uint8Array {
    const out = new StateWriter();
    out.number(this.#options.margin);
    out.number(this.#tests.length);
    for (const test of this.#tests) {
      out.text(test.name);
      test.save(out);
    }
    this.#strata.save(out);
    this.#portfolio.save(out);
    this.#attendance.save(out);
    for (const value of [this.#peak.log, this.#peak.metric, this.#requests.total, this.#requests.weighted]) {
      out.number(value);
    }
    return out.bytes(STATE_VERSION);
  }

  /** Goes on from another judge's state; once, before the first window. */
  load(bytes: Uint8Array): void {
    const from = new StateReader(bytes, STATE_VERSION);
    from.expect(this.#options.margin);
    from.expect(this.#tests.length);
    for (const test of this.#tests) {
      from.expectText(test.name);
      test.load(from);
    }
    this.#strata.load(from);
    this.#portfolio.load(from);
    this.#attendance.load(from);
    this.#peak = { log: from.number(), metric: from.number() };
    this.#requests = { total: from.number(), weighted: from.number() };
    from.end();
  }

  #judge(stratum: JudgeWindow): void {
    const before = this.#logs();
    const readings = this.#tests.map((test) => test.read(stratum));
    // Who joins is settled on unlabelled data before any evidence of this stratum is looked at.
    for (const [i, reading] of readings.entries()) if (reading?.isInformative) this.#portfolio.join(i, before);
    const logNeeded = Math.log(1 / this.#options.alpha);
    for (const [i, reading] of readings.entries()) {
      // Beyond what takes the metric's own part to the threshold its e-value is of no use.
      reading?.add(logNeeded - (this.#portfolio.logPart(i, before) - (before[i] ?? 0)));
    }
    const requests = stratum.baseline.requests + stratum.canary.requests;
    this.#requests.total += requests;
    this.#requests.weighted += stratum.weight * requests;
    const log = this.#portfolio.logWealth(this.#logs());
    if (log > this.#peak.log) this.#peak = { log, metric: this.#leading() };
  }

  #rollback(missing: readonly string[]): JudgeVerdict {
    const { alpha } = this.#options;
    const test = this.#test(this.#peak.metric);
    const { effect, interval, text } = test.finding(alpha);
    const evidence = Math.exp(this.#peak.log);
    const reason = `the new revision is worse on ${test.name}: ${text}; e-value ${formatNumber(evidence)} of ${formatNumber(1 / alpha)} needed`;
    return { verdict: "rollback", metric: test.name, evidence, effect, interval, reason, missing };
  }

  /** Every metric that has data must be shown not to be worse than allowed: the weakest evidence counts. */
  #pass(): JudgeVerdict | undefined {
    const { alpha } = this.#options;
    let weakest: { test: MetricTest; log: number } | undefined;
    for (const [i, test] of this.#tests.entries()) {
      if (test !== this.#errors && !this.#portfolio.hasJoined(i)) continue;
      const log = test.logAcceptable(alpha);
      if (log === undefined) continue;
      if (log < Math.log(1 / alpha)) return undefined;
      if (weakest === undefined || log < weakest.log) weakest = { test, log };
    }
    if (weakest === undefined) return undefined;
    const { effect, interval, text } = weakest.test.finding(alpha);
    const evidence = Math.exp(weakest.log);
    const reason = `shown on every metric not to be worse than the margins allow (${this.#margins()}); least sure of ${weakest.test.name}: ${text}; e-value ${formatNumber(evidence)}`;
    return { verdict: "pass", metric: weakest.test.name, evidence, effect, interval, reason, missing: [] };
  }

  #undecided(missing: readonly string[]): JudgeVerdict {
    const test = this.#test(this.#leading());
    const { effect, interval, text } = test.finding(this.#options.alpha);
    const evidence = Math.exp(this.#portfolio.logWealth(this.#logs()));
    const moreRequests = this.#moreRequests(test);
    const paused = missing.length === 0 ? "" : `paused: no ${missing.join(", ")} although there is traffic; `;
    const forecast = moreRequests === undefined ? "" : `, about ${moreRequests} more requests needed`;
    const reason = `${paused}not decided: ${test.name}: ${text}; e-value ${formatNumber(evidence)}${forecast}`;
    const verdict = { verdict: "continue", metric: test.name, evidence, effect, interval, reason, missing } as const;
    return moreRequests === undefined ? verdict : { ...verdict, moreRequests };
  }

  /** Evidence still needed over what a request brings: for errors the information in it, else what it brought so far. */
  #moreRequests(test: MetricTest): number | undefined {
    const index = this.#tests.indexOf(test);
    const needed = Math.log(1 / this.#options.alpha) - this.#portfolio.logPart(index, this.#logs());
    const rate = test === this.#errors ? this.#errorInformation() : this.#rateSoFar(test);
    return rate > 0 && Number.isFinite(needed) ? Math.max(1, Math.ceil(needed / rate)) : undefined;
  }

  #errorInformation(): number {
    const rates = this.#errors.rates;
    const { total, weighted } = this.#requests;
    if (rates === undefined || rates.canary <= rates.baseline || !this.#portfolio.hasJoined(0)) return 0;
    return requestInformation(rates.baseline, rates.canary, weighted / total);
  }

  #rateSoFar(test: MetricTest): number {
    return test.logWorse > 0 ? (test.logWorse + TYPICAL_LAG) / this.#requests.total : 0;
  }

  /** Index of the metric with the largest part of the wealth. */
  #leading(): number {
    const logs = this.#logs();
    const parts = this.#tests.map((_, i) => this.#portfolio.logPart(i, logs));
    return parts.reduce((best, part, i) => (part > (parts[best] ?? 0) ? i : best), 0);
  }

  #logs(): number[] {
    return this.#tests.map(({ logWorse }) => logWorse);
  }

  #test(index: number): MetricTest {
    return this.#tests[index] ?? this.#errors;
  }

  #margins(): string {
    return `${formatNumber(1 + this.#options.margin)} times`;
  }
}
