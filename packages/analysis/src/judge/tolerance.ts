import type { Allowance } from "../evidence/sample-table.ts";

/** Differences that nobody minds: up to a part of the baseline's value, or up to a floor in the metric's unit; the larger holds. */
export interface Tolerance {
  readonly part: number;
  readonly floor: number;
}

/** Any difference counts. */
export const NO_TOLERANCE: Tolerance = { part: 0, floor: 0 };

/**
 * Takes from a canary's value what it may be worse by, so that "worse by more than is tolerated" becomes "worse". A
 * canary's histogram is taken at the end of each bucket that is better for it: with bounds a third apart, a third is
 * tolerated. Undefined when nothing is.
 */
export function allowanceOf({ part, floor }: Tolerance, worse: "higher" | "lower"): Allowance | undefined {
  if (part === 0 && floor === 0) return undefined;
  const factor = 1 + part;
  if (worse === "higher") {
    return { end: "lower", map: (value) => Math.min(value > 0 ? value / factor : value * factor, value - floor) };
  }
  return { end: "upper", map: (value) => Math.max(value > 0 ? value * factor : value / factor, value + floor) };
}
