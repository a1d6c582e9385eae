import { KedgeError } from "@kedge/domain";
import { ALARM_SURPRISE, AlarmHold } from "./alarm-hold.ts";
import { Arena } from "./arena.ts";
import { Cadence } from "./cadence.ts";
import { CounterRate } from "./counter-rate.ts";
import type { AnomalyDetector, AnomalyDetectorOptions, AnomalyKind, AnomalyPoint } from "./detector-types.ts";
import { ExcursionTail } from "./excursion.ts";
import { type Forecast, Forecaster } from "./forecast.ts";
import { History } from "./history.ts";
import { shapeNovelty } from "./novelty.ts";
import { Movement, ShiftSums } from "./slow-signs.ts";
import { StreamTail } from "./tail.ts";

const DEFAULT_HISTORY_POINTS = 1024;
const MIN_HISTORY_POINTS = 64;
const MAX_HISTORY_POINTS = 16_384;
const TAIL_POINTS = 5000;
const SHAPE_POINTS = 4;
const DEFAULT_HOLD_POINTS = 150;
/** Points before anything is judged; surprise is believed by half when there were `HALF_TRUST` points. */
const WARM_UP_POINTS = 20;
const HALF_TRUST = 100;
const SCALE_RATE = 0.005;
const SCALE_LIMIT = 6;
/** The reference may miss so many times as much as the best forecast before shifts from it count for less. */
const WANDERING = 2;
/** After a gap a forecast is as uncertain as after so many points at most. */
const GAP_LIMIT = 9;
/** Surprise below this is everyday and adds nothing to the strongest sign; what is above adds this share of it. */
const EVERYDAY = 1;
const SUPPORT = 0.5;
/** Values beyond this count as it, so that squares and sums of them stay finite. */
const LARGEST = 1e100;
const MOST = 1e4;

const SEEN = 0;
const SCALE = 1;

/**
 * A streaming anomaly detector of one series: the residual of a panel of seasonal forecasts, clipped cumulative sums
 * against a slow reference (level shifts), how much the values move (unrest, stillness) and the distance to
 * the most similar stretch of the past (shape), each turned into a chance by its own extreme-value tail (SPOT, Siffer et
 * al., KDD 2017), added up with the strongest leading, and thinned by a refractory period. Scores do not change when all values
 * are scaled by a power of two, and hardly when by anything else. Constant memory; tens of microseconds a point at most.
 *
 * @throws KedgeError INVALID_OPTION for options out of range; INVALID_FIELD for a state it did not write.
 */
export function createAnomalyDetector(options: AnomalyDetectorOptions = {}): AnomalyDetector {
  const { source = "gauge", holdPoints = DEFAULT_HOLD_POINTS, historyPoints = DEFAULT_HISTORY_POINTS } = options;
  if (!(holdPoints >= 1 && holdPoints <= 1e6)) {
    throw new KedgeError("INVALID_OPTION", `holdPoints must be 1 to 1,000,000, not ${holdPoints}`, {
      field: "holdPoints",
    });
  }
  if (!(historyPoints >= MIN_HISTORY_POINTS && historyPoints <= MAX_HISTORY_POINTS)) {
    const expected = `${MIN_HISTORY_POINTS} to ${MAX_HISTORY_POINTS}`;
    throw new KedgeError("INVALID_OPTION", `historyPoints must be ${expected}, not ${historyPoints}`, {
      field: "historyPoints",
    });
  }
  return new StreamDetector({ state: new Uint8Array(), ...options, source, holdPoints, historyPoints });
}

interface Sign {
  readonly kind: AnomalyKind;
  readonly surprise: number;
  readonly since: number;
}

class StreamDetector implements AnomalyDetector {
  readonly #arena = new Arena();
  readonly #layout: number;
  readonly #counter: CounterRate | undefined;
  readonly #cadence = new Cadence(this.#arena);
  readonly #history: History;
  readonly #forecaster: Forecaster;
  readonly #shift = new ShiftSums(this.#arena);
  readonly #movement = new Movement(this.#arena);
  readonly #spikes = new StreamTail(this.#arena, TAIL_POINTS);
  readonly #dips = new StreamTail(this.#arena, TAIL_POINTS);
  readonly #shapes = new StreamTail(this.#arena, TAIL_POINTS);
  readonly #rises = new ExcursionTail(this.#arena, TAIL_POINTS);
  readonly #falls = new ExcursionTail(this.#arena, TAIL_POINTS);
  readonly #unrest = new ExcursionTail(this.#arena, TAIL_POINTS);
  readonly #stillness = new ExcursionTail(this.#arena, TAIL_POINTS);
  readonly #hold: AlarmHold;
  readonly #memory = this.#arena.take(2);

  constructor({ source, holdPoints, historyPoints, state }: Required<AnomalyDetectorOptions>) {
    const isCounter = source === "counter";
    this.#layout = isCounter ? 1 : 0;
    this.#history = new History(this.#arena, Math.round(historyPoints));
    this.#forecaster = new Forecaster(this.#arena, this.#history);
    this.#counter = isCounter ? new CounterRate(this.#arena) : undefined;
    this.#hold = new AlarmHold(this.#arena, holdPoints);
    if (state.length > 0) this.#arena.decode(state, this.#layout);
  }

  update(epochSeconds: number, value: number): AnomalyPoint {
    const missing = { score: 0, surprise: 0, kind: "none", since: epochSeconds } as const;
    if (!Number.isFinite(epochSeconds) || !Number.isFinite(value)) return missing;
    const watched = this.#counter ? this.#counter.update(epochSeconds, value) : value;
    if (watched === undefined) return missing;
    return this.#watch(epochSeconds, Math.max(-LARGEST, Math.min(LARGEST, watched)));
  }

  state(): Uint8Array {
    return this.#arena.encode(this.#layout);
  }

  #watch(time: number, value: number): AnomalyPoint {
    const seen = this.#memory[SEEN] ?? 0;
    const steps = this.#cadence.advance(time);
    const forecast = this.#forecaster.forecast(time);
    this.#memory[SEEN] = seen + 1;
    this.#forecaster.learn(time, value, this.#cadence.intervalSeconds);
    this.#history.push(value);
    const movement = this.#movement.update(value, steps === 1);
    if (forecast === undefined) return { score: 0, surprise: 0, kind: "none", since: time };
    const signs = this.#signs({ time, value, steps, forecast, movement });
    if (seen < WARM_UP_POINTS) return { score: 0, surprise: 0, kind: "none", since: time, expected: forecast.expected };
    const { kind, since, surprise } = combine(signs, time);
    const believed = this.#hold.update((surprise * seen) / (seen + HALF_TRUST));
    return {
      score: believed / (believed + ALARM_SURPRISE),
      surprise: believed,
      kind,
      since,
      expected: forecast.expected,
    };
  }

  #signs(point: {
    readonly time: number;
    readonly value: number;
    readonly steps: number;
    readonly forecast: Forecast;
    readonly movement: { readonly unrest: number; readonly stillness: number };
  }): Sign[] {
    const { time, value, steps, forecast, movement } = point;
    // Below the resolution of the numbers there is no difference.
    const floor = 1e-9 * (Math.abs(forecast.expected) + Math.abs(value)) + Number.MIN_VALUE;
    const miss = beyond(value, forecast);
    const scale = Math.max(floor, this.#followScale(Math.abs(miss)));
    const relative = inSight(miss / (scale * Math.sqrt(Math.min(steps, GAP_LIMIT))));
    const distance = (value - forecast.reference) / Math.max(floor, forecast.referenceScale);
    // Values that wander are often far from any reference; that is no shift.
    const [up, down] = this.#shift.update(distance * Math.min(1, WANDERING * forecast.steadiness));
    if ((this.#memory[SEEN] ?? 0) <= WARM_UP_POINTS) return [];
    const novelty = inSight(shapeNovelty(this.#history, SHAPE_POINTS) / scale);
    return [
      { kind: "spike", surprise: this.#spikes.observe(Math.max(0, relative)), since: time },
      { kind: "dip", surprise: this.#dips.observe(Math.max(0, -relative)), since: time },
      { kind: "shape", surprise: this.#shapes.observe(novelty), since: time },
      sign("rise", this.#rises, up, time),
      sign("fall", this.#falls, down, time),
      sign("unrest", this.#unrest, movement.unrest, time),
      sign("stillness", this.#stillness, movement.stillness, time),
    ];
  }

  /** The usual miss before this one, which is then taken in. */
  #followScale(miss: number): number {
    const memory = this.#memory;
    const scale = memory[SCALE] ?? 0;
    const clipped = scale > 0 ? Math.min(miss, SCALE_LIMIT * scale) : miss;
    memory[SCALE] = scale + Math.max(SCALE_RATE, 1 / (memory[SEEN] ?? 1)) * (clipped - scale);
    return scale;
  }
}

/** How far a value lies outside what believable experts expect; what one of them explains is no anomaly. */
function beyond(value: number, { expected, low, high }: Forecast): number {
  if (value > Math.max(expected, high)) return value - Math.max(expected, high);
  return Math.min(0, value - Math.min(expected, low));
}

/** Magnitudes beyond what a tail tells apart are alike. */
const inSight = (magnitude: number): number => Math.max(-MOST, Math.min(MOST, magnitude));

function sign(kind: AnomalyKind, tail: ExcursionTail, magnitude: number, time: number): Sign {
  const surprise = tail.observe(magnitude, time);
  return { kind, surprise, since: tail.since };
}

/** The strongest sign, its surprise raised by what the others support it with. */
function combine(signs: readonly Sign[], time: number): Sign {
  let strongest: Sign = { kind: "none", surprise: 0, since: time };
  let beyond = 0;
  for (const each of signs) {
    beyond += Math.max(0, each.surprise - EVERYDAY);
    if (each.surprise > strongest.surprise) strongest = each;
  }
  const support = beyond - Math.max(0, strongest.surprise - EVERYDAY);
  return { ...strongest, surprise: strongest.surprise + SUPPORT * support };
}
