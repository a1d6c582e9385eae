import fc from "fast-check";
import { expect, test } from "vitest";
import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { signedSigmas } from "./n-sigma.ts";
import { rankMetrics } from "./rank-metrics.ts";

const wave = (length: number, level: number): number[] => Array.from({ length }, (_, i) => level + Math.sin(i * 1.7));
const anyValues = fc.array(fc.oneof(fc.double(), fc.constantFrom(Number.NaN, 0, 1e308, -1e308)), { maxLength: 60 });
const anySamples = fc.dictionary(fc.constantFrom("a_cpu", "a_mem", "b_cpu", "c", "d_x_y"), anyValues);

test("the KS statistic of known samples, ties included", () => {
  expect(kolmogorovSmirnov([1, 2, 3, 4], [3, 4, 5, 6])).toBe(0.5);
  expect(kolmogorovSmirnov([1, 1, 1], [1, 1])).toBe(0);
  expect(kolmogorovSmirnov([1, 2], [3])).toBe(1);
  expect(kolmogorovSmirnov([0, 0, 0, 1], [0, 1, 1, 1])).toBe(0.5);
  expect(kolmogorovSmirnov([], [3])).toBe(0);
});

test("sigmas count from the mean to the highest, and have a sign", () => {
  expect(signedSigmas([-1, 1], [3, 2])).toBeCloseTo(3, 12);
  expect(signedSigmas([-1, 1], [-5, -4])).toBeCloseTo(-4, 12);
  expect(signedSigmas([5, 5, 5], [5, 5])).toBe(0);
  expect(signedSigmas([0, 0, 0], [0, 1])).toBeGreaterThan(100);
  expect(signedSigmas([1e308, -1e308], [1e308])).toBeCloseTo(1, 9);
});

test("the metric that rose is first, before one that fell, one that never moves and one that always does", () => {
  const ranked = rankMetrics({
    normal: { a_cpu: wave(100, 5), a_mem: wave(100, 5e9), b_cpu: new Array(100).fill(3), c_load: wave(100, 1e-6) },
    anomalous: { a_cpu: wave(80, 9), a_mem: wave(80, 5e9), b_cpu: new Array(90).fill(3), c_load: wave(70, -4) },
  });
  expect(ranked.map(({ metric }) => metric)[0]).toBe("a_cpu");
  expect(ranked[0]).toMatchObject({ component: "a", distance: 1 });
});

test("with few points the KS statistic says nothing", () => {
  const [first] = rankMetrics({ normal: { x: wave(100, 0) }, anomalous: { x: [9] } });
  expect(first).not.toHaveProperty("distance");
  expect(first?.sigmas).toBeGreaterThan(5);
});

test("any input gives each name once, numbers without NaN, the same every time", () => {
  fc.assert(
    fc.property(anySamples, anySamples, (normal, anomalous) => {
      const ranked = rankMetrics({ normal, anomalous });
      const names = new Set([...Object.keys(normal), ...Object.keys(anomalous)]);
      expect(new Set(ranked.map(({ metric }) => metric))).toEqual(names);
      expect(ranked).toHaveLength(names.size);
      for (const { sigmas, distance = 0 } of ranked) {
        expect(Number.isFinite(sigmas)).toBe(true);
        expect(distance >= 0 && distance <= 1).toBe(true);
      }
      expect(rankMetrics({ normal, anomalous })).toEqual(ranked);
    }),
  );
});

test("the unit of a metric does not matter", () => {
  const values = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 30, maxLength: 50 });
  const pair = fc.record({ a_x: values, b_x: values, b_y: values });
  fc.assert(
    fc.property(pair, pair, fc.integer({ min: -60, max: 60 }), (normal, anomalous, power) => {
      const scaled = (samples: typeof normal) => ({ ...samples, b_x: samples.b_x.map((value) => value * 2 ** power) });
      expect(rankMetrics({ normal: scaled(normal), anomalous: scaled(anomalous) })).toEqual(
        rankMetrics({ normal, anomalous }),
      );
    }),
  );
});
