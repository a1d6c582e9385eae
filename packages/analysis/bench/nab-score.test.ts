import { expect, test } from "vitest";
import { NAB_PROFILES, nabScore, positionWorth, probation, rawScore, rowWorths } from "./nab-score.mjs";

test.each([
  [-1, 0.9866143],
  [-0.75, 0.95404526],
  [-0.5, 0.84828364],
  [0, 0],
  [0.5, -0.84828364],
  [1, -0.9866143],
  [3.01, -1],
])("the worth of a detection at %d", (y, worth) => {
  expect(positionWorth(y)).toBeCloseTo(worth, 7);
});

test("the worked example: 1,000 rows, one window of rows 500 to 599", () => {
  const { worths } = rowWorths(1000, [[500, 599]]);
  const { falsePositive } = NAB_PROFILES.standard;
  expect((worths[520] ?? 0) / positionWorth(-1)).toBeCloseTo(0.9771068, 6);
  expect(falsePositive * (worths[700] ?? 0)).toBeCloseTo(-0.1086682, 6);
  expect(falsePositive * (worths[100] ?? 0)).toBeCloseTo(-0.11, 9);
});

test("only the first and best detection in a window counts, and none in the probation", () => {
  expect([probation(1000), probation(100_000)]).toEqual([150, 750]);
  const scores = new Float64Array(1000);
  scores.set([1, 1, 1], 500);
  scores[100] = 1;
  expect(rawScore(scores, [[500, 599]], 0.5, NAB_PROFILES.standard)).toBeCloseTo(1, 9);
});

test("nothing detected is 0, everything at once 100", () => {
  const none = { scores: new Float64Array(1000), windows: [[500, 599]] };
  const all = { scores: Float64Array.from({ length: 1000 }, (_, i) => (i === 500 ? 1 : 0)), windows: [[500, 599]] };
  for (const profile of Object.values(NAB_PROFILES)) {
    expect(nabScore([none], 0.5, profile)).toBeCloseTo(0, 9);
    expect(nabScore([all], 0.5, profile)).toBeCloseTo(100, 9);
  }
});
