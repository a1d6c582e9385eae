import fc from "fast-check";
import { expect, test } from "vitest";
import { createAnomalyDetector } from "./detector.ts";
import { ALARM_SCORE, type AnomalyPoint } from "./detector-types.ts";

type Point = readonly [epochSeconds: number, value: number];

const START = 1_700_006_400;
const MINUTE = 60;

/** Noise of about unit spread from a seed, the same everywhere. */
function noise(seed: number): () => number {
  let state = seed | 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
  return () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.7;
}

function series(length: number, value: (row: number, random: () => number) => number, seed = 7): Point[] {
  const random = noise(seed);
  return Array.from({ length }, (_, row) => [START + row * MINUTE, value(row, random)]);
}

function run(points: readonly Point[], options = {}): AnomalyPoint[] {
  const detector = createAnomalyDetector(options);
  return points.map(([time, value]) => detector.update(time, value));
}

const alarmRows = (results: readonly AnomalyPoint[]): number[] =>
  results.flatMap(({ score }, row) => (score >= ALARM_SCORE ? [row] : []));

const steady = (_row: number, random: () => number): number => 50 + random();
const anyNumber = fc.oneof(
  fc.double(),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 1e308, -1e308, 5e-324, 0),
);
const anyPoint: fc.Arbitrary<Point> = fc.tuple(anyNumber, anyNumber);
const plausible: fc.Arbitrary<Point[]> = fc
  .tuple(fc.integer(), fc.integer({ min: 30, max: 300 }), fc.double({ min: 0, max: 20, noNaN: true }))
  .map(([seed, length, size]) => series(length, (row, random) => random() + (row % 29 === 0 ? size : 0), seed));

test("whatever comes in, a score from 0 to 1 comes out", () => {
  fc.assert(
    fc.property(fc.array(anyPoint, { maxLength: 120 }), fc.constantFrom("gauge", "counter"), (points, source) => {
      for (const { score, surprise, since } of run(points, { source })) {
        expect(score >= 0 && score <= 1 && surprise >= 0).toBe(true);
        expect(since).not.toBe(undefined);
      }
    }),
  );
});

test("huge and tiny values among usual ones do not break it for good", () => {
  const points = series(1500, (row, random) => (row === 400 ? 1e308 : row === 500 ? Number.NaN : 50 + random()));
  const results = run(points);
  expect(results[400]?.score).toBeGreaterThan(0.8);
  expect(results.every(({ score }) => score >= 0 && score <= 1)).toBe(true);
});

test("the future does not change scores of the past", () => {
  fc.assert(
    fc.property(plausible, plausible, fc.nat(300), (points, others, cut) => {
      const changed = [...points.slice(0, cut), ...others];
      const kept = Math.min(cut, points.length);
      expect(run(changed).slice(0, kept)).toEqual(run(points).slice(0, kept));
    }),
    { numRuns: 30 },
  );
});

test("a restored detector goes on exactly like the one that was saved, and its state does not grow", () => {
  fc.assert(
    fc.property(plausible, fc.nat(300), fc.constantFrom("gauge", "counter"), (points, cut, source) => {
      const detector = createAnomalyDetector({ source });
      for (const [time, value] of points.slice(0, cut)) detector.update(time, value);
      const state = detector.state();
      expect(state.length).toBe(createAnomalyDetector({ source }).state().length);
      const restored = createAnomalyDetector({ source, state });
      for (const [time, value] of points.slice(cut)) {
        expect(restored.update(time, value)).toEqual(detector.update(time, value));
      }
      expect(restored.state()).toEqual(detector.state());
    }),
    { numRuns: 30 },
  );
});

test("the unit does not matter: a power of two changes no score at all", () => {
  fc.assert(
    fc.property(plausible, fc.integer({ min: -40, max: 40 }), (points, power) => {
      const scaled = points.map(([time, value]): Point => [time, value * 2 ** power]);
      expect(run(scaled).map(({ score }) => score)).toEqual(run(points).map(({ score }) => score));
    }),
    { numRuns: 30 },
  );
});

test("a larger obvious spike never scores less", () => {
  const history = series(600, steady);
  const at = START + 600 * MINUTE;
  const base = createAnomalyDetector();
  for (const [time, value] of history) base.update(time, value);
  const state = base.state();
  const scoreOf = (size: number): number => createAnomalyDetector({ state }).update(at, 50 + size).score;
  fc.assert(
    fc.property(
      fc.double({ min: 10, max: 1e6, noNaN: true }),
      fc.double({ min: 1, max: 100, noNaN: true }),
      (size, factor) => {
        expect(scoreOf(size)).toBeGreaterThanOrEqual(ALARM_SCORE);
        expect(scoreOf(size * factor)).toBeGreaterThanOrEqual(scoreOf(size) - 1e-12);
        expect(scoreOf(-size)).toBeGreaterThanOrEqual(ALARM_SCORE);
      },
    ),
    { numRuns: 30 },
  );
});

test.each<[string, (row: number, random: () => number) => number, string[], number]>([
  ["a jump up", (row, random) => 50 + random() + (row === 900 ? 20 : 0), ["spike", "shape"], 0],
  ["a jump down", (row, random) => 50 + random() - (row === 900 ? 20 : 0), ["dip", "shape"], 0],
  ["a shift up", (row, random) => 50 + random() + (row >= 900 ? 3 : 0), ["spike", "rise", "shape"], 10],
  ["a shift down", (row, random) => 50 + random() - (row >= 900 ? 3 : 0), ["dip", "fall", "shape"], 10],
  ["unrest", (row, random) => 50 + random() * (row >= 900 ? 4 : 1), ["spike", "dip", "unrest", "shape"], 20],
  ["a sensor that sticks", (row, random) => (row >= 900 ? 50.5 : 50 + random()), ["stillness"], 80],
])("%s is an alarm, soon and of its kind", (_name, value, kinds, within) => {
  const results = run(series(1000, value));
  const [first] = alarmRows(results);
  expect(first).toBeGreaterThanOrEqual(900);
  expect(first).toBeLessThanOrEqual(900 + within);
  expect(kinds).toContain(results[first ?? 0]?.kind);
});

test("a slow shift says when it began", () => {
  const results = run(series(1200, (row, random) => 50 + random() + (row >= 900 ? 1.6 : 0)));
  const rise = results.slice(900).find(({ kind, score }) => kind === "rise" && score >= ALARM_SCORE);
  expect(Math.abs(((rise?.since ?? 0) - START) / MINUTE - 900)).toBeLessThanOrEqual(10);
});

test.each<[string, (row: number, random: () => number) => number]>([
  ["a constant", () => 7],
  ["nothing but zeros", () => 0],
  ["steady noise", steady],
  ["a coin", (_row, random) => (random() > 0 ? 1 : 0)],
  ["slow growth", (row, random) => row / 300 + random()],
])("%s is no alarm", (_name, value) => {
  expect(alarmRows(run(series(3000, value)))).toEqual([]);
});

test("a daily habit is learned: the same jump at another time is an alarm, at its time it is none", () => {
  const day = 288;
  const job = (row: number): boolean => row % day >= 60 && row % day < 72;
  const odd = 9 * day + 180;
  const values = series(
    10 * day,
    (row, random) => 20 + random() + (job(row) || (row >= odd && row < odd + 12) ? 60 : 0),
  );
  const results = run(values.map(([, value], row): Point => [START + row * 5 * MINUTE, value]));
  const late = alarmRows(results).filter((row) => row >= 4 * day);
  expect(late[0]).toBe(odd);
});

test("one long incident is told of once, a much stronger one at once", () => {
  const results = run(series(1100, (row, random) => 50 + random() + (row >= 800 ? 10 : 0) + (row === 860 ? 500 : 0)));
  const rows = alarmRows(results).filter((row) => row >= 800);
  expect(rows[0]).toBe(800);
  expect(rows).toContain(860);
  expect(rows.length).toBeLessThan(8);
});

test("missing and irregular points are neither alarms nor forgotten", () => {
  const random = noise(3);
  const points = series(2000, steady).flatMap(([time, value], row): Point[] => {
    if (row % 400 > 360) return [];
    return [[time + 20 * random(), row % 50 === 0 ? Number.NaN : value]];
  });
  expect(alarmRows(run(points))).toEqual([]);
  expect(run([...points, [START + 2001 * MINUTE, 90]]).at(-1)?.score).toBeGreaterThan(ALARM_SCORE);
});

test("a counter is watched by its rate; a reset is none", () => {
  let total = 0;
  const points = series(1200, (row, random) => {
    total = row === 500 ? 0 : total + 600 + 30 * random() + (row === 1000 ? 6000 : 0);
    return total;
  });
  const results = run(points, { source: "counter" });
  const rows = alarmRows(results).filter((row) => row !== 500);
  expect(rows[0]).toBe(1000);
  expect(results[499]?.expected).toBeGreaterThan(9);
  expect(results[499]?.expected).toBeLessThan(11);
});

test("options and states that cannot be are rejected", () => {
  expect(() => createAnomalyDetector({ holdPoints: 0 })).toThrow(expect.objectContaining({ reason: "INVALID_OPTION" }));
  const state = createAnomalyDetector().state();
  for (const bytes of [new Uint8Array(7), state.with(0, 9), state.slice(1)]) {
    expect(() => createAnomalyDetector({ state: bytes })).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
  }
  expect(() => createAnomalyDetector({ source: "counter", state })).toThrow(
    expect.objectContaining({ reason: "INVALID_FIELD" }),
  );
});
