import { LABEL_GRID, type LabelMemory, LabelShift } from "../evidence/label-shift.ts";
import { RatioCurve } from "../evidence/ratio-curve.ts";
import { formatNumber } from "./format.ts";
import type { JudgeWindow } from "./judge-types.ts";
import type { Finding, MetricTest, Reading } from "./metric-test.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/** Answers by label: any change of their distribution. To pass, no label's share may have moved by the margin. */
export class LabelTest implements MetricTest {
  readonly name = "predictions";
  readonly #margin: number;
  #shift = new LabelShift();

  /** `margin`: change of a label's share, in (0, 1). */
  constructor(margin: number) {
    this.#margin = margin;
  }

  isPresent(window: JudgeWindow, arm: "baseline" | "canary"): boolean {
    return Object.values(window[arm].predictions ?? {}).some((count) => count > 0);
  }

  read(stratum: JudgeWindow): Reading | undefined {
    const { predictions: baseline } = stratum.baseline;
    const { predictions: canary } = stratum.canary;
    if (baseline === undefined || canary === undefined) return undefined;
    const labels = new Set([...Object.keys(baseline), ...Object.keys(canary)]);
    const isInformative = labels.size > 1 && this.isPresent(stratum, "baseline") && this.isPresent(stratum, "canary");
    return { isInformative, add: () => this.#shift.add(baseline, canary) };
  }

  get logWorse(): number {
    return this.#shift.logEvidence;
  }

  /** Each label's confidence sequence, as a change of its share in the baseline, must lie within the margin. */
  logAcceptable(alpha: number): number {
    const totals = this.#totals();
    const isWithin = (memory: LabelMemory): boolean => {
      const share = (memory.baseline + 0.5) / (totals.baseline + 1);
      const { low, high } = memory.curve.interval(alpha);
      return shareAt(share, high) - share < this.#margin && share - shareAt(share, low) < this.#margin;
    };
    const isShown = totals.baseline > 0 && totals.canary > 0 && this.#shift.labels.every(isWithin);
    return isShown ? Math.log(1 / alpha) : 0;
  }

  finding(alpha: number): Finding {
    const totals = this.#totals();
    let effect = 0;
    let found: LabelMemory | undefined;
    for (const memory of this.#shift.labels) {
      const change = memory.canary / totals.canary - memory.baseline / totals.baseline;
      if (!(Math.abs(change) > Math.abs(effect))) continue;
      effect = change;
      found = memory;
    }
    if (found === undefined) return { effect: 0, interval: { low: -1, high: 1 }, text: "labels come up equally often" };
    const share = found.baseline / totals.baseline;
    const { low, high } = found.curve.interval(alpha);
    const interval =
      found.baseline === 0
        ? { low: 0, high: 1 }
        : { low: shareAt(share, low) - share, high: shareAt(share, high) - share };
    const text = `"${found.label}" in ${percent(found.canary / totals.canary)} of answers against ${percent(share)}`;
    return { effect, interval, text };
  }

  save(out: StateWriter): void {
    out.number(this.#shift.logWhole);
    out.number(this.#shift.labels.length);
    for (const { label, baseline, canary, curve } of this.#shift.labels) {
      out.text(label);
      out.number(baseline);
      out.number(canary);
      out.numbers(curve.logs);
    }
  }

  load(from: StateReader): void {
    const logWhole = from.number();
    const labels = Array.from({ length: from.count() }, () => ({
      label: from.text(),
      baseline: from.number(),
      canary: from.number(),
      curve: new RatioCurve(LABEL_GRID, from.numbers(LABEL_GRID.logRatios.length)),
    }));
    this.#shift = new LabelShift(labels, logWhole);
  }

  #totals(): { readonly baseline: number; readonly canary: number } {
    const { labels } = this.#shift;
    return {
      baseline: labels.reduce((sum, { baseline }) => sum + baseline, 0),
      canary: labels.reduce((sum, { canary }) => sum + canary, 0),
    };
  }
}

/** A share after its odds were multiplied. */
function shareAt(share: number, oddsRatio: number): number {
  if (share === 0 || share === 1) return share;
  return oddsRatio === Infinity ? 1 : (oddsRatio * share) / (1 - share + oddsRatio * share);
}

function percent(share: number): string {
  return `${formatNumber(100 * share)} %`;
}
