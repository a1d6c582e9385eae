import { type Interval, RatioCurve } from "../evidence/ratio-curve.ts";
import { ratioGrid } from "../evidence/ratio-grid.ts";
import { formatInterval, formatNumber, within } from "./format.ts";
import type { EventCount, JudgeWindow } from "./judge-types.ts";
import type { EventMetricOptions } from "./metric-options.ts";
import type { Finding, MetricTest, Reading } from "./metric-test.ts";
import { isEventCount } from "./metric-value.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

const GRID_SIZE = 20;
/** Where the grid ends when passing needs no evidence. */
const NO_MARGIN = 0.5;
/** Ratios are told up to here. */
const RATIO_ENDS: Interval = { low: 1e-4, high: 1e4 };

/** Events over exposure (restarts, OOM kills): ratio of rates, from the arm of each event. */
export class EventTest implements MetricTest {
  readonly name: string;
  readonly #margin: number | undefined;
  #curve: RatioCurve;
  /** Baseline's events and exposure, then the canary's. */
  #sums: Float64Array = new Float64Array(4);

  constructor({ name, margin }: Omit<EventMetricOptions, "kind">) {
    this.name = name;
    this.#margin = margin;
    this.#curve = new RatioCurve(ratioGrid(GRID_SIZE, margin ?? NO_MARGIN, true));
  }

  isPresent(window: JudgeWindow, arm: "baseline" | "canary"): boolean {
    return this.#value(window, arm) !== undefined;
  }

  read(stratum: JudgeWindow): Reading | undefined {
    const baseline = this.#value(stratum, "baseline");
    const canary = this.#value(stratum, "canary");
    if (baseline === undefined || canary === undefined) return undefined;
    const isInformative = baseline.exposure > 0 && canary.exposure > 0 && baseline.events + canary.events > 0;
    return { isInformative, add: () => this.#add(baseline, canary) };
  }

  get logWorse(): number {
    return this.#curve.logWorse;
  }

  logAcceptable(): number | undefined {
    return this.#margin === undefined ? undefined : this.#curve.logBetter;
  }

  finding(alpha: number): Finding {
    const [baselineEvents = 0, baselineExposure = 0, canaryEvents = 0, canaryExposure = 0] = this.#sums;
    const counts = `${canaryEvents} in ${formatNumber(canaryExposure)} against ${baselineEvents} in ${formatNumber(baselineExposure)}`;
    if (baselineEvents + canaryEvents === 0 || baselineExposure === 0 || canaryExposure === 0) {
      return { effect: 1, interval: RATIO_ENDS, text: counts };
    }
    const interval = within(this.#curve.interval(alpha), RATIO_ENDS);
    // A baseline without events is taken to have half of one.
    const effect = canaryEvents / canaryExposure / (Math.max(0.5, baselineEvents) / baselineExposure);
    return { effect, interval, text: `${counts}, ratio ${formatInterval(interval, RATIO_ENDS)}` };
  }

  save(out: StateWriter): void {
    out.numbers(this.#curve.logs);
    out.numbers(this.#sums);
  }

  load(from: StateReader): void {
    this.#curve = new RatioCurve(this.#curve.grid, from.numbers(this.#curve.logs.length));
    this.#sums = from.numbers(this.#sums.length);
  }

  #value(window: JudgeWindow, arm: "baseline" | "canary"): EventCount | undefined {
    const value = window[arm].metrics?.[this.name];
    return value !== undefined && isEventCount(value) ? value : undefined;
  }

  #add(baseline: EventCount, canary: EventCount): void {
    const added = [baseline.events, baseline.exposure, canary.events, canary.exposure];
    for (const [i, value] of added.entries()) this.#sums[i] = (this.#sums[i] ?? 0) + value;
    const exposure = baseline.exposure + canary.exposure;
    // All exposure on one arm: nothing to compare.
    if (baseline.exposure === 0 || canary.exposure === 0) return;
    this.#curve.addEvents(canary.events, baseline.events, canary.exposure / exposure);
  }
}
