import { medianRanks } from "../confseq/quantile-bounds.ts";
import { RankEvidence, rankStratum, remember } from "../evidence/rank-test.ts";
import { DIFFERENT, LARGER, type RankTilts, SHIFTED_DOWN, SMALLER } from "../evidence/rank-tilts.ts";
import type { Interval } from "../evidence/ratio-curve.ts";
import { negated, type Samples, type SampleTable, sampleSize, sampleTable } from "../evidence/sample-table.ts";
import { Sketch } from "../evidence/sketch.ts";
import { formatInterval, formatNumber, within } from "./format.ts";
import type { ArmWindow, JudgeWindow } from "./judge-types.ts";
import type { DistributionMetricOptions } from "./metric-options.ts";
import type { Finding, MetricTest, Reading } from "./metric-test.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";
import { allowanceOf, type Tolerance } from "./tolerance.ts";

/** Distinct values kept of the past, and of each arm for its quantiles. */
const PAST_VALUES = 192;
const ARM_VALUES = 144;
const NO_PAST = new Sketch(0);
/** Ratios of medians are told up to here. */
const RATIO_ENDS: Interval = { low: 1e-3, high: 1e3 };

/** Which distribution is compared, and where it is found in a window. */
export interface DistributionTestOptions extends Pick<DistributionMetricOptions, "name" | "worse"> {
  readonly margin: number;
  readonly tolerance: Tolerance;
  /** Values of the canary's that are not judged at first: its start. */
  readonly settle: number;
  /** Unit of the values, for people. */
  readonly unit: string;
  /** The metric's samples in an arm; undefined when it has none. */
  samplesOf(arm: ArmWindow): Samples | undefined;
}

/** Both arms' samples of a stratum, and the e-value that would decide. */
interface Compared {
  readonly baseline: Samples;
  readonly canary: Samples;
  readonly logCap: number;
}

/** Evidence that values, seen one way round, are not larger by more than allowed. */
interface Guard {
  /** Whether values are negated first, so that "larger" means worse. */
  readonly isNegated: boolean;
  readonly evidence: RankEvidence;
}

/**
 * A whole distribution: rank-tilt test against the baseline made worse by what is tolerated. To pass, the canary must be
 * shown better than the baseline made worse by the margin, or by the tolerance where that is more.
 */
export class DistributionTest implements MetricTest {
  readonly name: string;
  readonly #options: DistributionTestOptions;
  readonly #tilts: RankTilts;
  #past = new Sketch(PAST_VALUES);
  #arms = { baseline: new Sketch(ARM_VALUES), canary: new Sketch(ARM_VALUES) };
  #worse: RankEvidence;
  #guards: Guard[];
  /** Canary's values seen. */
  #settled = 0;

  constructor(options: DistributionTestOptions) {
    this.name = options.name;
    this.#options = options;
    this.#tilts = { higher: LARGER, lower: SMALLER, different: DIFFERENT }[options.worse];
    this.#worse = new RankEvidence(this.#tilts);
    const sides = { higher: [false], lower: [true], different: [false, true] }[options.worse];
    this.#guards = sides.map((isNegated) => ({ isNegated, evidence: new RankEvidence(SHIFTED_DOWN) }));
  }

  isPresent(window: JudgeWindow, arm: "baseline" | "canary"): boolean {
    const samples = this.#options.samplesOf(window[arm]);
    return samples !== undefined && sampleSize(samples) > 0;
  }

  read(stratum: JudgeWindow): Reading | undefined {
    const baseline = this.#options.samplesOf(stratum.baseline);
    const canary = this.#options.samplesOf(stratum.canary);
    if (baseline === undefined || canary === undefined) return undefined;
    const table = sampleTable(baseline, canary);
    if (table === undefined) return undefined;
    // By what was seen before, so that which strata are judged does not hang on what is in them.
    const isSettled = this.#settled >= this.#options.settle;
    const isInformative = isSettled && table.values.length > 1 && sampleSize(baseline) > 0 && sampleSize(canary) > 0;
    return {
      isInformative,
      add: (logCap) => {
        if (isSettled) this.#add(table, { baseline, canary, logCap });
        else this.#settled += sampleSize(canary);
      },
    };
  }

  get logWorse(): number {
    return this.#worse.logEvidence;
  }

  logAcceptable(): number {
    return Math.min(...this.#guards.map(({ evidence }) => evidence.logEvidence));
  }

  finding(alpha: number): Finding {
    const { baseline, canary } = this.#arms;
    const [theirs, ours] = [baseline.quantile(0.5), canary.quantile(0.5)];
    if (Number.isNaN(theirs) || Number.isNaN(ours)) return { effect: 1, interval: RATIO_ENDS, text: "no values yet" };
    const medians = `median ${formatNumber(ours)}${this.#options.unit} against ${formatNumber(theirs)}${this.#options.unit}`;
    // Only positive values have a ratio.
    if (!(theirs > 0 && ours > 0)) return { effect: 1, interval: RATIO_ENDS, text: medians };
    const [their, our] = [medianInterval(baseline, alpha / 2), medianInterval(canary, alpha / 2)];
    const interval = within({ low: our.low / their.high, high: our.high / their.low }, RATIO_ENDS);
    const effect = Number.isFinite(theirs) && Number.isFinite(ours) ? ours / theirs : 1;
    return { effect, interval, text: `${medians}, ratio ${formatInterval(interval, RATIO_ENDS)}` };
  }

  save(out: StateWriter): void {
    for (const sketch of [this.#past, this.#arms.baseline, this.#arms.canary]) saveSketch(out, sketch);
    for (const value of this.#rules()) out.number(value);
    out.number(this.#settled);
    out.numbers(this.#worse.memory);
    for (const { evidence } of this.#guards) out.numbers(evidence.memory);
  }

  load(from: StateReader): void {
    this.#past = loadSketch(from, PAST_VALUES);
    this.#arms = { baseline: loadSketch(from, ARM_VALUES), canary: loadSketch(from, ARM_VALUES) };
    for (const value of this.#rules()) from.expect(value);
    this.#settled = from.number();
    this.#worse = new RankEvidence(this.#tilts, from.numbers(this.#worse.memory.length));
    this.#guards = this.#guards.map(({ isNegated, evidence }) => ({
      isNegated,
      evidence: new RankEvidence(SHIFTED_DOWN, from.numbers(evidence.memory.length)),
    }));
  }

  /** What the evidence is of: with others it would be of another question. */
  #rules(): readonly number[] {
    const { margin, tolerance, settle } = this.#options;
    return [margin, tolerance.part, tolerance.floor, settle];
  }

  #add(table: SampleTable, { baseline, canary, logCap }: Compared): void {
    const { worse, tolerance } = this.#options;
    const allowance = worse === "different" ? undefined : allowanceOf(tolerance, worse);
    const tolerated = allowance === undefined ? table : (sampleTable(baseline, canary, allowance) ?? table);
    this.#worse.add(rankStratum(tolerated, this.#past), logCap);
    remember(this.#past, tolerated);
    this.#arms.baseline.add({ values: table.values, weights: table.baseline });
    this.#arms.canary.add({ values: table.values, weights: table.canary });
    for (const guard of this.#guards) this.#guard(guard, baseline, canary);
  }

  /** The canary's bucket is taken at its worse end here. */
  #guard({ isNegated, evidence }: Guard, baseline: Samples, canary: Samples): void {
    const oriented = (samples: Samples): Samples => (isNegated ? negated(samples) : samples);
    const { margin, tolerance } = this.#options;
    const allowed = { part: Math.max(margin, tolerance.part), floor: tolerance.floor };
    const allowance = allowanceOf(allowed, "higher");
    const table = sampleTable(oriented(baseline), oriented(canary), allowance && { ...allowance, end: "upper" });
    if (table !== undefined) evidence.add(rankStratum(table, NO_PAST));
  }
}

/** Bounds of the median of positive values; 0 and Infinity before there are any. */
function medianInterval(sketch: Sketch, alpha: number): Interval {
  const ranks = medianRanks(sketch.total, alpha);
  const [low, high] = [ranks.low - sketch.error, ranks.high + sketch.error];
  return { low: low > 0 ? Math.max(0, sketch.below(low)) : 0, high: high < 1 ? sketch.quantile(high) : Infinity };
}

function saveSketch(out: StateWriter, sketch: Sketch): void {
  out.numbers(sketch.held.values);
  out.numbers(sketch.held.weights);
}

function loadSketch(from: StateReader, capacity: number): Sketch {
  const values = [...from.numbers()];
  return new Sketch(capacity, { values, weights: [...from.numbers(values.length)] });
}
