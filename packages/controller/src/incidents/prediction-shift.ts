import type { Window } from "@kedge/proto";
import { MIN_REQUESTS } from "./traffic-sums.ts";

/** As many labels as gateways tell apart. */
const MAX_LABELS = 33;
const MAX_COUNT = 10_000_000;
/** How fast what is usual follows, a step. */
const FOLLOW = 0.02;
/** Steps before there is anything usual. */
const LEAST_STEPS = 12;

/** How far the mix of predicted labels is from what it usually is. */
export class PredictionShift {
  readonly #usual = new Map<string, number>();
  #counts = new Map<string, number>();
  #steps = 0;

  /** Takes in a revision's part of a window. */
  add(window: Window, revision: number): void {
    for (const part of [...window.revisions, ...window.matched]) {
      if (part.revision !== revision) continue;
      for (const [label, count] of Object.entries(part.predictions).slice(0, MAX_LABELS)) {
        if (this.#counts.size >= MAX_LABELS && !this.#counts.has(label)) continue;
        this.#counts.set(label, (this.#counts.get(label) ?? 0) + Math.min(count, MAX_COUNT));
      }
    }
  }

  /** Ends the step: total variation distance from the usual mix, in percent; NaN with too few, or nothing usual yet. */
  close(): number {
    const counts = this.#counts;
    const sum = [...counts.values()].reduce((total, count) => total + count, 0);
    this.#counts = new Map();
    if (sum < MIN_REQUESTS) return Number.NaN;
    const rate = Math.max(FOLLOW, 1 / ++this.#steps);
    let distance = 0;
    for (const label of new Set([...counts.keys(), ...this.#usual.keys()])) {
      const share = (counts.get(label) ?? 0) / sum;
      const usual = this.#usual.get(label) ?? 0;
      distance += Math.abs(share - usual) / 2;
      this.#follow(label, usual + rate * (share - usual));
    }
    return this.#steps > LEAST_STEPS ? 100 * distance : Number.NaN;
  }

  #follow(label: string, share: number): void {
    const isKnown = this.#usual.has(label);
    if (share < 1e-6) this.#usual.delete(label);
    else if (isKnown || this.#usual.size < 2 * MAX_LABELS) this.#usual.set(label, share);
  }
}
