import { KedgeError } from "@kedge/domain";
import { requestInformation } from "./information.ts";
import { decodeMemory, emptyMemory, encodeMemory, type JudgeMemory } from "./judge-state.ts";
import type { ArmWindow, Judge, JudgeOptions, JudgeVerdict, JudgeWindow } from "./judge-types.ts";
import { logSpaced, RatioMixture } from "./ratio-mixture.ts";

const DEFAULT_ALPHA = 0.01;
const DEFAULT_MARGIN = 0.5;
const DEFAULT_RATIOS = logSpaced(1.1, 30, 24);
/** Ratios below the margin that a `pass` is tested against, as parts of the way from a quarter to the margin. */
const BETTER_PARTS = logSpaced(0.25, 0.9, 8);

interface ResolvedOptions {
  readonly alpha: number;
  readonly margin: number;
  readonly ratios: readonly number[];
}

/**
 * A judge of error rates that may be looked at after every window: the chance that it ever says `rollback` of a canary
 * that is not worse is at most alpha, however long it watches, however traffic and weight change. No traffic, or
 * traffic on one arm alone, is no evidence.
 *
 * @throws KedgeError INVALID_OPTION for options out of range; INVALID_FIELD for a state it did not write.
 */
export function createJudge(options: JudgeOptions = {}): Judge {
  return new ErrorJudge(resolveJudgeOptions(options), options.state ?? new Uint8Array());
}

class ErrorJudge implements Judge {
  readonly #options: ResolvedOptions;
  readonly #memory: JudgeMemory;
  readonly #worse: RatioMixture;
  readonly #better: RatioMixture;

  constructor(options: ResolvedOptions, state: Uint8Array) {
    const counts = [options.ratios.length, BETTER_PARTS.length] as const;
    this.#options = options;
    this.#memory = state.length === 0 ? emptyMemory(...counts) : decodeMemory(state, ...counts);
    const bound = 1 + options.margin;
    this.#worse = new RatioMixture(1, options.ratios, this.#memory.worseLogs);
    this.#better = new RatioMixture(
      bound,
      BETTER_PARTS.map((part) => part * bound),
      this.#memory.betterLogs,
    );
  }

  observe(window: JudgeWindow): JudgeVerdict {
    const { baseline, canary, weight } = window;
    if (!isArm(baseline) || !isArm(canary)) {
      return { ...this.verdict(), reason: `window ignored: its counts are not possible; ${this.verdict().reason}` };
    }
    // With all traffic on one arm there is nothing to compare.
    if (!(weight > 0 && weight < 1)) return this.verdict();
    this.#count(baseline, canary, weight);
    if (baseline.errors + canary.errors > 0) {
      this.#worse.add(canary.errors, baseline.errors, weight);
      this.#better.add(canary.errors, baseline.errors, weight);
      this.#memory.peakLog = Math.max(this.#memory.peakLog, this.#worse.logEvidence);
    }
    return this.verdict();
  }

  verdict(): JudgeVerdict {
    const needed = Math.log(1 / this.#options.alpha);
    const effect = this.#effect();
    const rates = describeRates(this.#memory);
    if (this.#memory.peakLog >= needed) {
      const evidence = Math.exp(this.#memory.peakLog);
      const reason = `the new revision fails more often: ${rates}; e-value ${format(evidence)} of ${format(1 / this.#options.alpha)} needed`;
      return { verdict: "rollback", metric: "errors", evidence, effect, reason };
    }
    if (this.#better.logEvidence >= needed) {
      const evidence = Math.exp(this.#better.logEvidence);
      const reason = `shown to fail less than ${format(1 + this.#options.margin)} times as often: ${rates}; e-value ${format(evidence)}`;
      return { verdict: "pass", metric: "errors", evidence, effect, reason };
    }
    const evidence = Math.exp(this.#worse.logEvidence);
    const moreRequests = this.#moreRequests(needed);
    const forecast = moreRequests === undefined ? "" : `, about ${moreRequests} more requests would settle it`;
    const reason = `not decided: ${rates}; e-value ${format(evidence)}${forecast}`;
    const undecided = { verdict: "continue", metric: "errors", evidence, effect, reason } as const;
    return moreRequests === undefined ? undecided : { ...undecided, moreRequests };
  }

  state(): Uint8Array {
    return encodeMemory({ ...this.#memory, worseLogs: this.#worse.logs, betterLogs: this.#better.logs });
  }

  #count(baseline: ArmWindow, canary: ArmWindow, weight: number): void {
    const memory = this.#memory;
    memory.baselineRequests += baseline.requests;
    memory.baselineErrors += baseline.errors;
    memory.canaryRequests += canary.requests;
    memory.canaryErrors += canary.errors;
    memory.weightedRequests += weight * (baseline.requests + canary.requests);
  }

  #effect(): number {
    const { baselineRequests, baselineErrors, canaryRequests, canaryErrors } = this.#memory;
    if (baselineRequests === 0 || canaryRequests === 0 || baselineErrors + canaryErrors === 0) return 1;
    return canaryErrors / canaryRequests / (baselineErrors / baselineRequests);
  }

  /** (log(1/α) − log E) over the information in a request, at rates estimated with half an error added to each arm. */
  #moreRequests(needed: number): number | undefined {
    const { baselineRequests, baselineErrors, canaryRequests, canaryErrors, weightedRequests } = this.#memory;
    if (baselineRequests === 0 || canaryRequests === 0) return undefined;
    const baselineRate = (baselineErrors + 0.5) / (baselineRequests + 1);
    const canaryRate = (canaryErrors + 0.5) / (canaryRequests + 1);
    if (canaryErrors === 0 || canaryRate <= baselineRate) return undefined;
    const weight = weightedRequests / (baselineRequests + canaryRequests);
    const information = requestInformation(baselineRate, canaryRate, weight);
    return Math.ceil((needed - this.#worse.logEvidence) / information);
  }
}

function resolveJudgeOptions(options: JudgeOptions): ResolvedOptions {
  const alpha = options.alpha || DEFAULT_ALPHA;
  const margin = options.margin ?? DEFAULT_MARGIN;
  const ratios = options.ratios ?? DEFAULT_RATIOS;
  if (!(alpha > 0 && alpha < 1)) throw invalid("alpha", "between 0 and 1", alpha);
  if (!(margin > 0 && Number.isFinite(margin))) throw invalid("margin", "a number above 0", margin);
  if (ratios.length === 0 || ratios.length > 255 || !ratios.every((ratio) => ratio > 1 && Number.isFinite(ratio))) {
    throw invalid("ratios", "1 to 255 numbers above 1", ratios);
  }
  return { alpha, margin, ratios };
}

function invalid(field: string, expected: string, got: unknown): KedgeError {
  return new KedgeError("INVALID_OPTION", `${field}: expected ${expected}, got ${JSON.stringify(got)}`, { field });
}

function isArm({ requests, errors }: ArmWindow): boolean {
  return Number.isFinite(requests) && errors >= 0 && requests >= errors;
}

function describeRates({ baselineRequests, baselineErrors, canaryRequests, canaryErrors }: JudgeMemory): string {
  return `${canaryErrors} errors in ${canaryRequests} requests against ${baselineErrors} in ${baselineRequests}`;
}

function format(value: number): string {
  return value >= 1e6 || (value !== 0 && value < 0.01) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}
