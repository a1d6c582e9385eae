import type { Interval } from "../evidence/ratio-curve.ts";

/** A number for people: three digits, exponents only where they are shorter. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  return size >= 1e6 || (size !== 0 && size < 0.001) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** An interval for people. */
export function formatInterval({ low, high }: Interval): string {
  return `[${formatNumber(low)}, ${Number.isFinite(high) ? formatNumber(high) : "∞"}]`;
}
