import type { Tolerance } from "./tolerance.ts";

/** Events over exposure, more of which is worse: tested as a ratio of rates. */
export interface EventMetricOptions {
  readonly kind: "events";
  readonly name: string;
  /** Ratio of rates, less 1, that a canary must be shown to be below to pass; absent: it need not be. */
  readonly margin?: number;
}

/** Values within known bounds, of which the means are compared. */
export interface BoundedMetricOptions {
  readonly kind: "bounded";
  readonly name: string;
  readonly low: number;
  readonly high: number;
  readonly worse: "higher" | "lower";
  /** Difference of means, as a part of high − low, that a canary must be shown to be below to pass; default 0.05. */
  readonly margin?: number;
}

/** Values of which the whole distributions are compared. */
export interface DistributionMetricOptions {
  readonly kind: "distribution";
  readonly name: string;
  readonly worse: "higher" | "lower" | "different";
  /** What a canary may be worse by without that it counts; default: nothing. Not with `worse: "different"`. */
  readonly tolerance?: Tolerance;
  /** Factor, less 1, that a canary's values must be shown to be worse by less than to pass; default 0.5. */
  readonly margin?: number;
}

/** A metric of the user's: what its values are, and what is worse. */
export type MetricOptions = EventMetricOptions | BoundedMetricOptions | DistributionMetricOptions;
