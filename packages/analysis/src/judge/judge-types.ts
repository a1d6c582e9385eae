import type { Moments } from "../evidence/bernstein-bets.ts";
import type { LabelCounts } from "../evidence/label-shift.ts";
import type { Interval } from "../evidence/ratio-curve.ts";
import type { Samples } from "../evidence/sample-table.ts";
import type { MetricOptions } from "./metric-options.ts";
import type { Tolerance } from "./tolerance.ts";

/** Events over an exposure of any unit, the same for both arms: restarts over replica seconds, OOM kills over GPU hours. */
export interface EventCount {
  readonly events: number;
  readonly exposure: number;
}

/** What a metric of the user's is pushed as, by its kind: events, values or their moments (bounded), samples (distribution). */
export type MetricValue = EventCount | Moments | Samples;

/** What one arm (revision) saw in one window. With `unit: "user"` a request is a user, see `UserCohort`. */
export interface ArmWindow {
  readonly requests: number;
  readonly errors: number;
  /** Latencies of answers, raw or as a histogram; both arms' bounds should be the same. */
  readonly latencyMs?: Samples;
  /** Answers by label. */
  readonly predictions?: LabelCounts;
  /** Metrics named in the judge's options. */
  readonly metrics?: Readonly<Record<string, MetricValue>>;
}

/** What both arms saw while the traffic split was constant. */
export interface JudgeWindow {
  /** Length, for people; evidence does not depend on it. */
  readonly seconds: number;
  /** Canary's share of traffic in force during the window, 0 to 1. */
  readonly weight: number;
  readonly baseline: ArmWindow;
  readonly canary: ArmWindow;
  /** A replica of either arm was still starting: the window is left out. */
  readonly warming?: boolean;
}

/** What the judge says after a window, of everything it has seen. */
export interface JudgeVerdict {
  /** `rollback` is final; `pass`: shown on every metric not to be worse than the margin allows; else `continue`. */
  readonly verdict: "continue" | "pass" | "rollback";
  /** What it was decided on, e.g. "errors". */
  readonly metric: string;
  /**
   * The e-value that speaks for the verdict (against the canary unless `pass`, then the weakest metric's for it);
   * 1/evidence bounds the chance of being wrong.
   */
  readonly evidence: number;
  /**
   * The metric's size in the canary against the baseline: ratio of error rates, event rates or medians; for bounded metrics
   * the difference of means, for predictions the largest change of a label's share. 1 (differences: 0) without data. A
   * baseline without a single error is taken to have half of one.
   */
  readonly effect: number;
  /** Covers the effect at all times at once with probability 1 − alpha; never infinite: ratios end at 10,000, of medians at 1,000. */
  readonly interval: Interval;
  /** One readable sentence with numbers. */
  readonly reason: string;
  /** Requests in total that a rollback still needs if what was seen so far is true; absent when the canary does not look worse. */
  readonly moreRequests?: number;
  /** Metrics that stopped coming although there is traffic: nothing passes until they are back. */
  readonly missing: readonly string[];
}

/** Sequential judge of one canary. Stateful; windows are to be given once each. */
export interface Judge {
  observe(window: JudgeWindow): JudgeVerdict;
  /** The verdict on what was seen so far. */
  verdict(): JudgeVerdict;
  /** Everything needed to go on elsewhere; give it to `createJudge`. */
  state(): Uint8Array;
}

/** How latencies are judged. */
export interface LatencyOptions {
  /** What a canary may be slower by without that it counts, `floor` in milliseconds; default: nothing. */
  readonly tolerance?: Tolerance;
  /** Answers of the canary whose latencies are not judged at first: its start; default 0. */
  readonly settle?: number;
}

/** How a judge decides. */
export interface JudgeOptions {
  /** Chance of ever rolling back a canary that is not worse, over all metrics; default (and for 0) 0.01. */
  readonly alpha?: number;
  /** From an earlier judge's `state()` with the same metrics, margins and tolerances; empty: start afresh. Alpha may differ. */
  readonly state?: Uint8Array;
  /** `pass` needs the canary's error odds, and its latencies, below (1 + margin) times the baseline's; default 0.5. */
  readonly margin?: number;
  /** A canary whose error rate is below this passes on errors whatever the baseline's; default 0.002. */
  readonly negligibleErrorRate?: number;
  /** `pass` needs every label's share to change by less than this; default 0.1. */
  readonly labelMargin?: number;
  readonly latency?: LatencyOptions;
  /** The user's metrics, besides errors, latency and predictions. */
  readonly metrics?: readonly MetricOptions[];
  /** Parts of alpha by metric, relative to each other; default errors 0.7, latency 0.25, predictions 0.05, others 0.1 each. */
  readonly shares?: Readonly<Record<string, number>>;
  /** What is assigned to an arm at random: each request (default), or each user, when routing is sticky. */
  readonly unit?: "request" | "user";
}
