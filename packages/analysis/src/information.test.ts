import { expect, test } from "vitest";
import { informationLimit } from "./information.ts";

const TABLE: readonly (readonly [from: number, to: number, limits: readonly number[]])[] = [
  [0.001, 0.002, [1_206_153, 254_305, 136_114, 67_985, 54_131]],
  [0.001, 0.005, [115_819, 25_034, 13_772, 7_345, 6_310]],
  [0.001, 0.01, [33_681, 7_495, 4_238, 2_382, 2_145]],
  [0.01, 0.02, [119_204, 25_129, 13_448, 6_714, 5_341]],
  [0.01, 0.03, [35_531, 7_560, 4_089, 2_097, 1_727]],
  [0.01, 0.05, [11_373, 2_457, 1_350, 719, 615]],
  [0.05, 0.1, [22_583, 4_758, 2_544, 1_267, 1_004]],
  [0.2, 0.3, [16_532, 3_461, 1_836, 895, 687]],
];
const WEIGHTS = [0.01, 0.05, 0.1, 0.25, 0.5];

test.each(TABLE)("requests needed to tell %f from %f", (baselineRate, canaryRate, limits) => {
  for (const [i, weight] of WEIGHTS.entries()) {
    const limit = informationLimit({ baselineRate, canaryRate, weight, alpha: 0.01 });
    expect(Math.abs(limit - (limits[i] ?? 0))).toBeLessThanOrEqual(1);
  }
});

test("equal rates can never be told apart", () => {
  expect(informationLimit({ baselineRate: 0.1, canaryRate: 0.1, weight: 0.5, alpha: 0.01 })).toBe(Infinity);
});
