import { logWeightedSum, normalised } from "./log-mean.ts";
import { RatioCurve } from "./ratio-curve.ts";
import { ratioGrid } from "./ratio-grid.ts";
import { logTiltRatio } from "./tilted-draw.ts";

/** Answers by label. */
export type LabelCounts = Readonly<Record<string, number>>;

/** What is known of one label. */
export interface LabelMemory {
  readonly label: string;
  baseline: number;
  canary: number;
  readonly curve: RatioCurve;
}

/** Labels watched on their own, in the order they were first seen; the rest count as one. */
export const MAX_LABELS = 32;
/** Name under which the labels beyond the limit are counted. */
export const OTHER_LABEL = "other";
/** Ratios of one label's odds, both ways. */
export const LABEL_GRID = ratioGrid(10, 0.5);

/** Weight of the bet on all labels at once; the rest is spread over labels, earlier ones first. */
const WHOLE_WEIGHT = 0.5;
const LABEL_WEIGHTS = normalised(Array.from({ length: MAX_LABELS + 1 }, (_, i) => 1 / (i + 1.5)));
/** Answers' worth of "no difference" that the bet on all labels starts from. */
const PRIOR_ANSWERS = 20;

/**
 * Evidence that the arms answer with different labels. For each label a stratified test of "odds of this label" to both
 * sides, and one bet on the whole distribution: that labels go on to differ as they have so far, shrunk towards no
 * difference. All are conditioned on each stratum's labels and counts, so a drift of the inputs common to both arms
 * cancels; their weighted mean is an e-process. A label that comes up for the first time takes the next free weight, which
 * depends on the unlabelled order of appearance only.
 */
export class LabelShift {
  readonly labels: LabelMemory[];
  #logWhole: number;

  constructor(labels: LabelMemory[] = [], logWhole = 0) {
    this.labels = labels;
    this.#logWhole = logWhole;
  }

  /** Natural logarithm of the bet on all labels, to go on from. */
  get logWhole(): number {
    return this.#logWhole;
  }

  /** Adds a stratum's answers. */
  add(baseline: LabelCounts, canary: LabelCounts): void {
    // Maps, as a label may have the name of an object's own method.
    const [baselineCounts, canaryCounts] = [new Map(Object.entries(baseline)), new Map(Object.entries(canary))];
    this.#admit(baselineCounts, canaryCounts);
    const theirs = this.#tally(baselineCounts);
    const ours = this.#tally(canaryCounts);
    this.#logWhole += logTiltRatio({
      pooled: theirs.map((count, i) => count + (ours[i] ?? 0)),
      canary: ours,
      tilt: this.#learnedTilt(),
    });
    const baselineTrials = theirs.reduce((sum, count) => sum + count, 0);
    const canaryTrials = ours.reduce((sum, count) => sum + count, 0);
    for (const [i, memory] of this.labels.entries()) {
      const baselineHits = theirs[i] ?? 0;
      const canaryHits = ours[i] ?? 0;
      memory.curve.addStratum({ baselineTrials, canaryTrials, baselineHits, canaryHits });
      memory.baseline += baselineHits;
      memory.canary += canaryHits;
    }
  }

  /** Natural logarithm of the e-value. */
  get logEvidence(): number {
    const logs = [this.#logWhole, ...LABEL_WEIGHTS.map((_, i) => this.labels[i]?.curve.logDifferent ?? 0)];
    return logWeightedSum(logs, [WHOLE_WEIGHT, ...LABEL_WEIGHTS.map((weight) => (1 - WHOLE_WEIGHT) * weight)]);
  }

  /** Unseen labels are appended, the most frequent in the stratum first. */
  #admit(baseline: ReadonlyMap<string, number>, canary: ReadonlyMap<string, number>): void {
    const known = new Set(this.labels.map(({ label }) => label));
    const pooled = (label: string): number => (baseline.get(label) ?? 0) + (canary.get(label) ?? 0);
    const unseen = [...new Set([...baseline.keys(), ...canary.keys()])]
      .filter((label) => !known.has(label) && pooled(label) > 0)
      .sort((a, b) => pooled(b) - pooled(a) || (a < b ? -1 : 1));
    for (const label of unseen) {
      if (this.labels.length < MAX_LABELS) this.labels.push(emptyLabel(label));
      else if (!this.labels.some((memory) => memory.label === OTHER_LABEL)) this.labels.push(emptyLabel(OTHER_LABEL));
    }
  }

  #tally(counts: ReadonlyMap<string, number>): number[] {
    const tally = this.labels.map(() => 0);
    const places = new Map(this.labels.map(({ label }, i) => [label, i]));
    for (const [label, count] of counts) {
      const place = places.get(label) ?? places.get(OTHER_LABEL);
      if (count > 0 && place !== undefined) tally[place] = (tally[place] ?? 0) + count;
    }
    return tally;
  }

  #learnedTilt(): number[] {
    const total = (arm: "baseline" | "canary"): number => this.labels.reduce((sum, memory) => sum + memory[arm], 0);
    const baselineTotal = total("baseline");
    const canaryTotal = total("canary");
    const answers = baselineTotal + canaryTotal;
    return this.labels.map(({ baseline, canary }) => {
      const prior = answers === 0 ? 0 : (PRIOR_ANSWERS * (baseline + canary)) / answers;
      if (prior === 0) return 0;
      const ours = (canary + prior) / (canaryTotal + PRIOR_ANSWERS);
      return Math.log(ours / ((baseline + prior) / (baselineTotal + PRIOR_ANSWERS)));
    });
  }
}

function emptyLabel(label: string): LabelMemory {
  return { label, baseline: 0, canary: 0, curve: new RatioCurve(LABEL_GRID) };
}
