import { ALARM_SCORE, type AnomalyDetector, createAnomalyDetector } from "@kedge/analysis";
import { type Track, usualBefore } from "./track.ts";
import { isMaterial } from "./watched-metrics.ts";

/** An unusual value that matters. */
export interface Alarm<M extends string> {
  readonly metric: M;
  readonly value: number;
  readonly usual: number;
  readonly beganAtMs: number;
  /** "about 1 in 10^9 by chance". */
  readonly chance: string;
}

/** Refractory period, in steps. */
const HOLD_STEPS = 60;
/** Three quarters of an hour: enough for shapes and short periods, and a third less memory. */
const HISTORY_STEPS = 256;

/** Steps for which the unusual is watched until it matters: its first step is often half a one. */
const SUSPECT_STEPS = 6;
/** So many of them must matter: among thousands of series one step is soon out of line. */
const CONFIRMED_BY = 2;

interface Suspicion {
  readonly beganAtMs: number;
  readonly usual: number;
  readonly chance: string;
  steps: number;
  confirmed: number;
}

/** Watches one metric of a track by a detector of its own: about 21 KiB and 15 microseconds a step. */
export class WatchedSeries<M extends string> {
  readonly #metric: M;
  readonly #track: Track<M>;
  #detector: AnomalyDetector | undefined;
  #suspicion: Suspicion | undefined;

  constructor(metric: M, track: Track<M>) {
    this.#metric = metric;
    this.#track = track;
  }

  /**
   * Takes the step that was just pushed to the track. NaN is no value. What is unusual is an alarm once two steps are
   * material, and `matters`.
   */
  observe(atMs: number, value: number, matters = true): Alarm<M> | undefined {
    if (!Number.isFinite(value)) return undefined;
    // Most nodes of a cluster never have some metrics.
    this.#detector ??= createAnomalyDetector({ holdPoints: HOLD_STEPS, historyPoints: HISTORY_STEPS });
    const { score, since, surprise, expected = value } = this.#detector.update(atMs / 1000, value);
    if (score >= ALARM_SCORE) {
      const beganAtMs = this.#suspicion?.beganAtMs ?? Math.min(atMs, since * 1000);
      const usual = this.#suspicion?.usual ?? usualBefore(this.#track.points(this.#metric), beganAtMs) ?? expected;
      const chance = `about 1 in 10^${surprise.toFixed(0)} by chance`;
      const confirmed = this.#suspicion?.confirmed ?? 0;
      this.#suspicion = { beganAtMs, usual, chance, steps: SUSPECT_STEPS, confirmed };
    }
    return this.#confirm(value, matters);
  }

  #confirm(value: number, matters: boolean): Alarm<M> | undefined {
    const suspicion = this.#suspicion;
    if (suspicion === undefined) return undefined;
    const { beganAtMs, usual, chance } = suspicion;
    if (matters && isMaterial(this.#metric, value, usual)) suspicion.confirmed += 1;
    suspicion.steps -= 1;
    const isAlarm = suspicion.confirmed === CONFIRMED_BY;
    if (isAlarm || suspicion.steps === 0) this.#suspicion = undefined;
    return isAlarm ? { metric: this.#metric, value, usual, beganAtMs, chance } : undefined;
  }
}
