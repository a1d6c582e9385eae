import type { Arena } from "./arena.ts";

const TOTAL = 0;
const ONE = 1;
const SEEN = 2;
const QUIET = 3;

const LOWEST = 1e-3;
const BINS = 160;
const BINS_PER_E = 9;
const TAIL_SHARE = 0.02;
/** Peaks that the prior shape counts as, and that shape: a little heavier than exponential. */
const PRIOR_PEAKS = 20;
const PRIOR_SHAPE = 0.15;
const MAX_SHAPE = 0.8;
/** A value is learned as no more than this many mean excesses above the threshold: one outlier must not hide the next. */
const LEARN_LIMIT = 16;
/** Values of greater surprise within so many points of each other are learned with little weight. */
const GREAT_SURPRISE = 3;
const QUIET_POINTS = 16;
const GREAT_WEIGHT = 0.1;
/** Points remembered at the very start. */
const FIRST_MEMORY = 200;
const LEAST_CHANCE = 1e-300;
const MAX_WEIGHT = 1e12;
/** Values that never vary must not make the first small one a sensation. */
const MIN_SCALE = 0.15;

/** Middle and lower edge of each bin. */
const CENTRES = Float64Array.from({ length: BINS }, (_, bin) =>
  bin === 0 ? LOWEST / 2 : LOWEST * Math.exp((bin - 0.5) / BINS_PER_E),
);
const EDGES = Float64Array.from({ length: BINS }, (_, bin) => LOWEST * Math.exp((bin - 1) / BINS_PER_E));

/** A generalised Pareto tail above a threshold. */
export interface ParetoTail {
  readonly threshold: number;
  /** Share of all values above the threshold. */
  readonly share: number;
  readonly shape: number;
  readonly scale: number;
}

/**
 * Chance of a value above `value`, by SPOT's peaks over threshold (Siffer et al., KDD 2017, eq. 1 solved for q).
 * For values at or below the threshold it is the threshold's share.
 */
export function tailChance(tail: ParetoTail, value: number): number {
  const excess = Math.max(0, value - tail.threshold) / tail.scale;
  if (Math.abs(tail.shape) < 1e-9) return tail.share * Math.exp(-excess);
  return tail.share * Math.max(0, 1 + tail.shape * excess) ** (-1 / tail.shape);
}

/**
 * Tail of a stream of magnitudes (0 and up), kept as a fading log-spaced histogram; the body gives chances of common
 * values, a generalised Pareto distribution fitted by probability-weighted moments (Hosking and Wallis 1987) those of
 * rare ones. Values are to be about 1 in size; below 0.001 all are alike.
 */
export class StreamTail {
  readonly #bins: Float64Array;
  /** Weight of all bins; of one new value, which grows instead of the old ones fading, until all are scaled back; values; values since the last great one. */
  readonly #weights: Float64Array;
  readonly #memory: number;

  /** `memory` points: how many newest values count, by and large. */
  constructor(arena: Arena, memory: number) {
    this.#bins = arena.take(BINS);
    this.#weights = arena.take(4);
    this.#memory = memory;
  }

  /** Surprise at a value, judged by the values before it; then learns it, less when it was a great one. */
  observe(value: number): number {
    const tail = this.fit();
    const surprise = tail === undefined ? 0 : (surpriseOf(tail, value) ?? this.#bodySurprise(value));
    this.#learn(value, tail, this.#newsWorth(surprise));
    return surprise;
  }

  /** Minus log10 of the chance of a value as large as this; 0 before ten values. */
  surprise(value: number): number {
    const tail = this.fit();
    return tail === undefined ? 0 : (surpriseOf(tail, value) ?? this.#bodySurprise(value));
  }

  learn(value: number): void {
    this.#learn(value, this.fit(), 1);
  }

  /** The tail as it is now; undefined with fewer than ten values. */
  fit(): ParetoTail | undefined {
    const [total = 0, one = 0] = this.#weights;
    if (total < 10 * one || one === 0) return undefined;
    let first = BINS;
    let peaks = 0;
    // A mass of values at 0 is no part of any tail: those above it are few, but they have the shape.
    while (first > 1 && peaks < TAIL_SHARE * total) peaks += this.#bins[--first] ?? 0;
    const threshold = first === 1 ? 0 : (EDGES[first] ?? 0);
    const share = Math.max(peaks, one) / (total + one);
    return { threshold, share, ...this.#shapeAndScale(first, threshold, peaks) };
  }

  /** Great surprises in a row are one event: only the first counts in full. */
  #newsWorth(surprise: number): number {
    const weights = this.#weights;
    const quiet = weights[QUIET] ?? 0;
    weights[QUIET] = surprise > GREAT_SURPRISE ? 0 : quiet + 1;
    return surprise > GREAT_SURPRISE && quiet < QUIET_POINTS ? GREAT_WEIGHT : 1;
  }

  #bodySurprise(value: number): number {
    const [total = 0, one = 0] = this.#weights;
    const bin = binOf(value);
    let above = ((this.#bins[bin] ?? 0) + one) / 2;
    for (let i = bin + 1; i < BINS; i++) above += this.#bins[i] ?? 0;
    return -Math.log10(Math.min(1, above / (total + one)));
  }

  #learn(value: number, tail: ParetoTail | undefined, share: number): void {
    const weights = this.#weights;
    const seen = (weights[SEEN] ?? 0) + 1;
    // What was learnt while the forecast was still learning is forgotten sooner.
    const memory = Math.min(this.#memory, FIRST_MEMORY + seen / 3);
    const one = (weights[ONE] || 1) * (1 + 1 / memory);
    const bin = binOf(tail === undefined ? value : Math.min(value, tail.threshold + LEARN_LIMIT * tail.scale));
    this.#bins[bin] = (this.#bins[bin] ?? 0) + share * one;
    weights.set([(weights[TOTAL] ?? 0) + share * one, one, seen]);
    if (one > MAX_WEIGHT) this.#rescale(1 / one);
  }

  #rescale(factor: number): void {
    for (const list of [this.#bins, this.#weights.subarray(0, SEEN)]) {
      for (let i = 0; i < list.length; i++) list[i] = (list[i] ?? 0) * factor;
    }
  }

  #shapeAndScale(first: number, threshold: number, peaks: number): { shape: number; scale: number } {
    let above = peaks;
    if (peaks === 0) return { shape: PRIOR_SHAPE, scale: MIN_SCALE };
    let mean = 0;
    let weighted = 0;
    for (let i = first; i < BINS; i++) {
      const weight = this.#bins[i] ?? 0;
      if (weight === 0) continue;
      const excess = (CENTRES[i] ?? 0) - threshold;
      above -= weight;
      mean += weight * excess;
      weighted += weight * excess * ((above + weight / 2) / peaks);
    }
    mean /= peaks;
    weighted /= peaks;
    const spread = mean - 2 * weighted;
    const fitted = spread > 1e-12 * mean ? 2 - mean / spread : 0;
    const prior = PRIOR_PEAKS * (this.#weights[1] ?? 1);
    const shape = (peaks * clamp(fitted, 0, MAX_SHAPE) + prior * PRIOR_SHAPE) / (peaks + prior);
    // The mean of the distribution, scale / (1 - shape), stays the mean of the peaks.
    return { shape, scale: Math.max(MIN_SCALE, mean * (1 - shape)) };
  }
}

/** Minus log10 of the chance of a value in the tail; undefined for values below it. */
function surpriseOf(tail: ParetoTail, value: number): number | undefined {
  return value > tail.threshold ? -Math.log10(Math.max(LEAST_CHANCE, tailChance(tail, value))) : undefined;
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

const binOf = (value: number): number =>
  value <= LOWEST ? 0 : Math.min(BINS - 1, 1 + Math.floor(BINS_PER_E * Math.log(value / LOWEST)));
