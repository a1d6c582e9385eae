import { expect, test } from "vitest";
import { sparkline } from "./sparkline.ts";

test("bars from the least to the greatest value", () => {
  expect(sparkline([], 9)).toBe("");
  expect(sparkline([Number.NaN], 9)).toBe("");
  expect(sparkline([5, 5], 9)).toBe("▁▁");
  expect(sparkline([0, 7, Number.NaN, 3.5], 9)).toBe("▁█ ▅");
});

test("one peak or dip among many values still shows", () => {
  const values = (special: number): number[] => Array.from({ length: 120 }, (_, i) => (i === 77 ? special : 5));
  expect(sparkline(values(9), 32)).toMatch(/^▁+█▁+$/);
  expect(sparkline(values(1), 32)).toMatch(/^█+▁█+$/);
  expect(sparkline(values(1), 32)).toHaveLength(32);
});
