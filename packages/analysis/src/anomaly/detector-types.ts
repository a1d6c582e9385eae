/** How a value was unusual: by itself, for long, in how it moves, or as a shape. */
export type AnomalyKind = "none" | "spike" | "dip" | "rise" | "fall" | "unrest" | "stillness" | "shape";

/** What a detector says of one point. */
export interface AnomalyPoint {
  /** 0 to 1: 0.5 and up is an alarm, see `ALARM_SCORE`. Repetitions of an alarm that is still held get half. */
  readonly score: number;
  /** About how many powers of ten of points one would watch to see this once by chance. */
  readonly surprise: number;
  /** Of the strongest sign. */
  readonly kind: AnomalyKind;
  /** What the value was expected to be; absent while there is no expectation. In rates a second for counters. */
  readonly expected?: number;
  /** Epoch seconds of the point at which the strongest sign began: the estimated change point of a rise or fall. */
  readonly since: number;
}

/** Streaming detector of one series. Stateful and causal: a score depends on this and earlier points alone. */
export interface AnomalyDetector {
  /**
   * Takes in one point. Points that are not finite are missing: score 0, nothing learned. A time that does not advance
   * counts as the next interval.
   */
  update(epochSeconds: number, value: number): AnomalyPoint;
  /** Everything needed to go on elsewhere, always the same size; give it to `createAnomalyDetector`. */
  state(): Uint8Array;
}

/** How a detector works. */
export interface AnomalyDetectorOptions {
  /** `counter`: values only grow, but for resets to zero; their rate a second is watched. Default `gauge`. */
  readonly source?: "gauge" | "counter";
  /** Refractory period: an alarm holds back weaker ones for about so many points. Default 150. */
  readonly holdPoints?: number;
  /** Values remembered to find periods and shapes in. Memory and time a point grow with it; default 1024. */
  readonly historyPoints?: number;
  /** From an earlier detector's `state()`, of the same source and history; empty: start afresh. */
  readonly state?: Uint8Array;
}

/** The score from which on a point is an alarm. */
export const ALARM_SCORE = 0.5;
