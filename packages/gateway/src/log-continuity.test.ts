import fc from "fast-check";
import { expect, test } from "vitest";
import { LogContinuity } from "./log-continuity.ts";

test("counts exactly the lines that are missing below the highest that arrived, whatever the order", () => {
  const stream = fc.uniqueArray(fc.integer({ min: 1, max: 300 }), { minLength: 1 });
  fc.assert(
    fc.property(stream, stream, (one, other) => {
      const continuity = new LogContinuity();
      for (const number of one) continuity.arrived("g1", number);
      for (const number of other) continuity.arrived("m1", number);
      const missing = (numbers: number[]) => Math.max(...numbers) - Math.min(...numbers) + 1 - numbers.length;
      expect(continuity.lost).toBe(missing(one) + missing(other));
    }),
  );
});

test("a HAProxy taken over starts from the number it has reached, and a process id may come again", () => {
  const continuity = new LogContinuity();
  for (const number of [5_000, 5_001, 5_003]) continuity.arrived("g7", number);
  expect(continuity.lost).toBe(1);
  for (let number = 5_004; number < 5_050; number++) continuity.arrived("g7", number);
  for (const number of [0, 1, 3]) continuity.arrived("g7", number);
  expect(continuity.lost).toBe(2);
});

test("remembers a bounded number of streams, and what was lost of those forgotten", () => {
  const continuity = new LogContinuity();
  for (let pid = 1; pid <= 100; pid++) for (const number of [0, 2]) continuity.arrived(`g${pid}`, number);
  expect(continuity.lost).toBe(100);
});
