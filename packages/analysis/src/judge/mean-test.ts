import type { Moments } from "../evidence/bernstein-bets.ts";
import { DifferenceBets } from "../evidence/difference-bets.ts";
import { formatInterval, formatNumber } from "./format.ts";
import type { JudgeWindow } from "./judge-types.ts";
import type { BoundedMetricOptions } from "./metric-options.ts";
import type { Finding, MetricTest, Reading } from "./metric-test.ts";
import { isMoments } from "./metric-value.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/** Values within known bounds: bets on the difference of means. To pass, its confidence sequence must end below the margin. */
export class MeanTest implements MetricTest {
  readonly name: string;
  readonly #options: Required<BoundedMetricOptions>;
  #bets = new DifferenceBets();

  constructor(options: Required<BoundedMetricOptions>) {
    this.name = options.name;
    this.#options = options;
  }

  isPresent(window: JudgeWindow, arm: "baseline" | "canary"): boolean {
    return (this.#moments(window, arm)?.count ?? 0) > 0;
  }

  read(stratum: JudgeWindow): Reading | undefined {
    const baseline = this.#moments(stratum, "baseline");
    const canary = this.#moments(stratum, "canary");
    if (baseline === undefined || canary === undefined) return undefined;
    const isInformative = baseline.count > 0 && canary.count > 0;
    return { isInformative, add: () => this.#bets.add(baseline, canary) };
  }

  get logWorse(): number {
    return this.#bets.logEvidence;
  }

  logAcceptable(alpha: number): number {
    return this.#bets.interval(alpha).high < this.#options.margin ? Math.log(1 / alpha) : 0;
  }

  finding(alpha: number): Finding {
    const { low, high, worse } = this.#options;
    const scale = worse === "higher" ? high - low : low - high;
    const ends = this.#bets.interval(alpha);
    const [a, b] = [scale * ends.low, scale * ends.high];
    const interval = { low: Math.min(a, b), high: Math.max(a, b) };
    const effect = scale * this.#bets.difference;
    const text = `mean differs by ${formatNumber(effect)}, ${formatInterval(interval)}`;
    return { effect, interval, text };
  }

  save(out: StateWriter): void {
    out.numbers(this.#bets.memory);
  }

  load(from: StateReader): void {
    this.#bets = new DifferenceBets(from.numbers(this.#bets.memory.length));
  }

  /** Moments scaled to [0, 1], where higher is worse. */
  #moments(window: JudgeWindow, arm: "baseline" | "canary"): Moments | undefined {
    const value = window[arm].metrics?.[this.name];
    if (value === undefined || !isMoments(value)) return undefined;
    const { low, high, worse } = this.#options;
    const origin = worse === "higher" ? low : high;
    const scale = worse === "higher" ? high - low : low - high;
    const { count, sum, sumSquares } = value;
    return {
      count,
      sum: (sum - count * origin) / scale,
      sumSquares: (sumSquares - 2 * origin * sum + count * origin * origin) / (scale * scale),
    };
  }
}
