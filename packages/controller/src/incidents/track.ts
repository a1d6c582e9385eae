/** A value at a time; milliseconds since 1970. */
export interface TrackPoint {
  readonly atMs: number;
  readonly value: number;
}

/** Steps that a track remembers: 20 minutes of 10 s each. */
export const TRACK_STEPS = 120;

/**
 * The newest steps of a few metrics of one subject, oldest forgotten first. Constant memory: 4 bytes a value. What is not
 * a finite number is missing.
 */
export class Track<M extends string> {
  readonly #times = new Float64Array(TRACK_STEPS);
  readonly #columns: ReadonlyMap<M, Float32Array>;
  #total = 0;

  constructor(metrics: readonly M[]) {
    this.#columns = new Map(metrics.map((metric) => [metric, new Float32Array(TRACK_STEPS)]));
  }

  /** Appends a step. */
  push(atMs: number, values: Readonly<Partial<Record<M, number>>>): void {
    const at = this.#total % TRACK_STEPS;
    this.#times[at] = atMs;
    for (const [metric, column] of this.#columns) column[at] = values[metric] ?? Number.NaN;
    this.#total += 1;
  }

  /** What is known of a metric, oldest first. */
  points(metric: M): TrackPoint[] {
    const column = this.#columns.get(metric);
    const points: TrackPoint[] = [];
    for (let i = Math.max(0, this.#total - TRACK_STEPS); i < this.#total; i++) {
      const value = column?.[i % TRACK_STEPS] ?? Number.NaN;
      if (Number.isFinite(value)) points.push({ atMs: this.#times[i % TRACK_STEPS] ?? 0, value });
    }
    return points;
  }

  /** The newest value of a metric, unless it is from before a time. */
  newest(metric: M, sinceMs: number): number | undefined {
    const column = this.#columns.get(metric);
    for (let i = this.#total - 1; i >= Math.max(0, this.#total - TRACK_STEPS); i--) {
      if ((this.#times[i % TRACK_STEPS] ?? 0) < sinceMs) return undefined;
      const value = column?.[i % TRACK_STEPS] ?? Number.NaN;
      if (Number.isFinite(value)) return value;
    }
    return undefined;
  }
}

/** Median of the values before a time; undefined without any. */
export function usualBefore(points: readonly TrackPoint[], beforeMs: number): number | undefined {
  const values = points.filter(({ atMs }) => atMs < beforeMs).map(({ value }) => value);
  return values.sort((a, b) => a - b)[values.length >> 1];
}
