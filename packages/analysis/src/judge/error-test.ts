import { BoostedEvidence } from "../evidence/boosted-evidence.ts";
import type { Stratum } from "../evidence/hypergeometric.ts";
import { logWeightedSum, normalised } from "../evidence/log-mean.ts";
import { type Interval, RatioCurve } from "../evidence/ratio-curve.ts";
import { ratioGrid } from "../evidence/ratio-grid.ts";
import { formatInterval, within } from "./format.ts";
import type { JudgeWindow } from "./judge-types.ts";
import type { Finding, MetricTest, Reading } from "./metric-test.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

const GRID_SIZE = 20;
/** Possible numbers of the canary's errors in a stratum, up to which its evidence is boosted. */
const MOST_OUTCOMES = 128;
/** Error rates, as parts of the negligible one, that a canary may turn out to have. */
const LOWER_PARTS = [0.05, 0.3, 0.6];
const LOWER_WEIGHTS = normalised(LOWER_PARTS.map(() => 1));

/** Ratios are told up to here. */
const RATIO_ENDS: Interval = { low: 1e-4, high: 1e4 };

/** How the errors of both arms are compared. */
export interface ErrorTestOptions {
  readonly margin: number;
  readonly negligibleErrorRate: number;
  /** Plural of what is counted: "requests" or "users". */
  readonly units: string;
}

/**
 * Failed requests: stratified test of the odds ratio. To pass, the ratio must be shown below 1 + margin or the canary's
 * rate below the negligible one: half of the evidence each.
 */
export class ErrorTest implements MetricTest {
  readonly name = "errors";
  readonly #options: ErrorTestOptions;
  #curve: RatioCurve;
  #worse = new BoostedEvidence();
  /** Log likelihood of each lower rate against the negligible one, from the canary alone. */
  #lowerLogs: Float64Array = new Float64Array(LOWER_PARTS.length);
  /** Baseline's requests and errors, then the canary's. */
  #counts: Float64Array = new Float64Array(4);

  constructor(options: ErrorTestOptions) {
    this.#options = options;
    this.#curve = new RatioCurve(ratioGrid(GRID_SIZE, options.margin, true));
  }

  isPresent(): boolean {
    return true;
  }

  read({ baseline, canary }: JudgeWindow): Reading {
    const hits = baseline.errors + canary.errors;
    const trials = baseline.requests + canary.requests;
    const isInformative = hits > 0 && hits < trials && baseline.requests > 0 && canary.requests > 0;
    return { isInformative, add: (logCap) => this.#add({ baseline, canary }, logCap) };
  }

  get logWorse(): number {
    return this.#worse.log;
  }

  logAcceptable(): number {
    const logNegligible = logWeightedSum(this.#lowerLogs, LOWER_WEIGHTS);
    return logWeightedSum([this.#curve.logBetter, logNegligible], [0.5, 0.5]);
  }

  finding(alpha: number): Finding {
    const [baselineRequests = 0, baselineErrors = 0, canaryRequests = 0, canaryErrors = 0] = this.#counts;
    const counts = `${canaryErrors} errors in ${canaryRequests} ${this.#options.units} against ${baselineErrors} in ${baselineRequests}`;
    if (baselineRequests === 0 || canaryRequests === 0 || baselineErrors + canaryErrors === 0) {
      return { effect: 1, interval: RATIO_ENDS, text: counts };
    }
    // A baseline without errors is taken to have half of one.
    const baselineRate = Math.max(0.5, baselineErrors) / baselineRequests;
    const ofRates = (oddsRatio: number): number => oddsRatio / (1 - baselineRate + baselineRate * oddsRatio);
    const odds = within(this.#curve.interval(alpha), RATIO_ENDS);
    const ends = { low: ofRates(RATIO_ENDS.low), high: ofRates(RATIO_ENDS.high) };
    const interval = { low: ofRates(odds.low), high: ofRates(odds.high) };
    const effect = canaryErrors / canaryRequests / baselineRate;
    return { effect, interval, text: `${counts}, ratio of rates ${formatInterval(interval, ends)}` };
  }

  /** Error rates with half an error added to each arm; undefined before both have traffic. */
  get rates(): { readonly baseline: number; readonly canary: number } | undefined {
    const [baselineRequests = 0, baselineErrors = 0, canaryRequests = 0, canaryErrors = 0] = this.#counts;
    if (baselineRequests === 0 || canaryRequests === 0) return undefined;
    return {
      baseline: (baselineErrors + 0.5) / (baselineRequests + 1),
      canary: (canaryErrors + 0.5) / (canaryRequests + 1),
    };
  }

  save(out: StateWriter): void {
    for (const list of [this.#curve.logs, this.#lowerLogs, this.#counts]) out.numbers(list);
    out.number(this.#worse.log);
  }

  load(from: StateReader): void {
    this.#curve = new RatioCurve(this.#curve.grid, from.numbers(this.#curve.logs.length));
    this.#lowerLogs = from.numbers(this.#lowerLogs.length);
    this.#counts = from.numbers(this.#counts.length);
    this.#worse = new BoostedEvidence(from.number());
  }

  #add({ baseline, canary }: Pick<JudgeWindow, "baseline" | "canary">, logCap: number): void {
    const added = [baseline.requests, baseline.errors, canary.requests, canary.errors];
    for (const [i, value] of added.entries()) this.#counts[i] = (this.#counts[i] ?? 0) + value;
    this.#compare(
      {
        baselineTrials: baseline.requests,
        canaryTrials: canary.requests,
        baselineHits: baseline.errors,
        canaryHits: canary.errors,
      },
      logCap,
    );
    const limit = this.#options.negligibleErrorRate;
    for (const [i, part] of LOWER_PARTS.entries()) {
      const ifFine = (canary.requests - canary.errors) * (Math.log1p(-part * limit) - Math.log1p(-limit));
      this.#lowerLogs[i] = (this.#lowerLogs[i] ?? 0) + canary.errors * Math.log(part) + ifFine;
    }
  }
  #compare(stratum: Stratum, logCap: number): void {
    const before = this.#curve.logWorse;
    const outcomes = () => this.#curve.outcomes(stratum, MOST_OUTCOMES);
    const curve = new RatioCurve(this.#curve.grid, this.#curve.logs.slice());
    curve.addStratum(stratum);
    this.#worse.add({ logFactor: curve.logWorse - before, logCap, outcomes });
    this.#curve = curve;
  }
}
