import type { Interval } from "../evidence/ratio-curve.ts";

/** A number for people: three digits, exponents only where they are shorter. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  return size >= 1e6 || (size !== 0 && size < 0.001) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** An interval for people; `ends`: how far it is told at most, beyond which it is "above" or "below". */
export function formatInterval({ low, high }: Interval, ends: Interval = { low: -Infinity, high: Infinity }): string {
  if (low <= ends.low && high >= ends.high) return "not known yet";
  if (high >= ends.high) return `above ${formatNumber(low)}`;
  if (low <= ends.low) return `below ${formatNumber(high)}`;
  return `within [${formatNumber(low)}, ${formatNumber(high)}]`;
}

/** An interval cut to what is told at most. */
export function within({ low, high }: Interval, ends: Interval): Interval {
  const cut = (value: number): number => Math.min(ends.high, Math.max(ends.low, value));
  return { low: cut(low), high: cut(high) };
}
