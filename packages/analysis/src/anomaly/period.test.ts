import { expect, test } from "vitest";
import { dominantPeriod } from "./period.ts";

const curve = (length: number, value: (i: number) => number): Float64Array =>
  Float64Array.from({ length }, (_, i) => value(i));

test.each([7, 24, 60, 168])("a period of %i points is found, on a slope too", (period) => {
  const shape = (i: number): number => Math.sin((2 * Math.PI * i) / period) + (i % period === 0 ? 2 : 0) + 0.01 * i;
  expect(dominantPeriod(curve(900, shape))).toBe(period);
});

test.each([
  ["a constant", () => 5],
  ["a line", (i: number) => 3 * i],
  ["white noise", (i: number) => (Math.imul(i * i + 7, 2_654_435_761) >>> 9) % 1009],
])("%s has no period", (_name, value) => {
  expect(dominantPeriod(curve(600, value))).toBe(0);
});

test("too few values have no period", () => {
  expect(dominantPeriod(new Float64Array())).toBe(0);
  expect(dominantPeriod(curve(8, (i) => i % 4))).toBe(0);
});
