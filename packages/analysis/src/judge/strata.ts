import { sampleSize } from "../evidence/sample-table.ts";
import type { ArmWindow, JudgeWindow } from "./judge-types.ts";
import { mergeWindows } from "./merge-windows.ts";
import { isEventCount, isMoments } from "./metric-value.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";
import { loadWindow, saveWindow } from "./window-bytes.ts";

/** A stratum of n requests loses one part in n of the information to conditioning on its counts. */
const MIN_SIZE = 20;
/** Weights that windows may wait under; beyond, the one that waited longest is judged as it is. */
const MAX_WAITING = 16;

/**
 * Gathers windows that are too small to be judged on their own, by weight: under one weight every request goes to the
 * canary with the same chance, so it does not matter which window it is of. Others pass straight through.
 */
export class Strata {
  #waiting: JudgeWindow[] = [];

  /** Takes a checked window; returns what is to be judged now. */
  add(window: JudgeWindow): readonly JudgeWindow[] {
    if (isExposure(window)) return [window];
    const at = this.#waiting.findIndex(({ weight }) => weight === window.weight);
    const known = this.#waiting[at];
    const merged = known === undefined ? window : mergeWindows(known, window);
    if (known !== undefined) this.#waiting.splice(at, 1);
    if (sizeOf(merged) >= MIN_SIZE) return [merged];
    this.#waiting.push(merged);
    return this.#waiting.length > MAX_WAITING ? this.#waiting.splice(0, 1) : [];
  }

  save(out: StateWriter): void {
    out.number(this.#waiting.length);
    for (const window of this.#waiting) saveWindow(out, window);
  }

  load(from: StateReader): void {
    this.#waiting = Array.from({ length: from.count() }, () => loadWindow(from));
  }
}

/** Events without requests: each was of an arm by the shares of the exposure at its own time, so none may be merged with another. */
function isExposure(window: JudgeWindow): boolean {
  return sizeOf(window) === 0 && Object.values(window.canary.metrics ?? {}).some(isEventCount);
}

function sizeOf({ baseline, canary }: JudgeWindow): number {
  return armSize(baseline) + armSize(canary);
}

/** Of requests or of the largest metric, as metrics may come without requests. */
function armSize({ requests, latencyMs, metrics }: ArmWindow): number {
  const sizes = Object.values(metrics ?? {}).map((value) => {
    if (isEventCount(value)) return 0;
    return isMoments(value) ? value.count : sampleSize(value);
  });
  return Math.max(requests, latencyMs === undefined ? 0 : sampleSize(latencyMs), ...sizes);
}
