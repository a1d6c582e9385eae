import fc from "fast-check";
import { expect, test } from "vitest";
import { Arena } from "./arena.ts";
import { type ParetoTail, StreamTail, tailChance } from "./tail.ts";

/** Evenly spread draws of a distribution by its inverse, in a fixed scrambled order. */
function draws(count: number, inverse: (u: number) => number): number[] {
  return Array.from({ length: count }, (_, i) => inverse((((i * 7919) % count) + 0.5) / count));
}

/** SPOT's threshold z_q = t + (scale / shape)((q n / N_t)^-shape - 1), as the paper has it. */
function spotThreshold({ threshold, share, shape, scale }: ParetoTail, q: number): number {
  return threshold + (scale / shape) * ((q / share) ** -shape - 1);
}

test("the chance of a value above z_q of SPOT is q", () => {
  const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });
  fc.assert(
    fc.property(
      number(0, 100),
      number(0.01, 0.9),
      number(0.01, 50),
      number(1e-9, 0.02),
      (threshold, shape, scale, q) => {
        const tail = { threshold, share: 0.02, shape, scale };
        expect(tailChance(tail, spotThreshold(tail, q)) / q).toBeCloseTo(1, 5);
      },
    ),
  );
});

test("a tail without shape is exponential", () => {
  expect(tailChance({ threshold: 1, share: 0.02, shape: 0, scale: 2 }, 5)).toBeCloseTo(0.02 * Math.exp(-2), 15);
});

test.each([
  ["exponential", (u: number) => -Math.log(1 - u), 9.21],
  ["Pareto of shape 1/3", (u: number) => 3 * ((1 - u) ** (-1 / 3) - 1), 61.6],
])("the tail of %s values is found: a ten-thousandth is about where it is", (_name, inverse, truth) => {
  const tail = new StreamTail(new Arena(), 5000);
  for (const value of draws(6000, inverse)) tail.learn(value);
  const fitted = tail.fit();
  const found = fitted === undefined ? 0 : spotThreshold(fitted, 1e-4);
  expect(found).toBeGreaterThan(0.6 * truth);
  expect(found).toBeLessThan(1.5 * truth);
});

test("surprise grows with the value, and is that of the share in the body", () => {
  const tail = new StreamTail(new Arena(), 1e6);
  for (const value of draws(2000, (u) => -Math.log(1 - u))) tail.learn(value);
  expect(tail.surprise(Math.LN2)).toBeCloseTo(Math.log10(2), 1);
  expect(tail.surprise(Math.log(10))).toBeCloseTo(1, 1);
  let last = 0;
  for (let value = 5; value < 1e9; value *= 1.5) {
    const surprise = tail.surprise(value);
    expect(surprise).toBeGreaterThanOrEqual(last);
    last = surprise;
  }
});

test("one outlier does not hide the next, but a habit is learned", () => {
  const tail = new StreamTail(new Arena(), 5000);
  const values = draws(1000, (u) => -Math.log(1 - u));
  for (const value of values) tail.observe(value);
  const first = tail.observe(100);
  const second = tail.observe(100);
  expect(first).toBeGreaterThan(8);
  expect(second).toBeGreaterThan(4);
  for (let round = 0; round < 20; round++) for (const value of [...values.slice(0, 100), 100]) tail.observe(value);
  expect(tail.surprise(100)).toBeLessThan(4);
});
