import fc from "fast-check";
import { expect, test } from "vitest";
import { burnAlerts, type RequestWindow } from "./burn-rate.ts";

const NOW = 10_000_000;
const MINUTE = 60;
const HOUR = 3600;

/** Windows of a minute each over the last `hours`, with 600 requests and errors by age in minutes. */
function minutes(hours: number, errorRate: (age: number) => number): RequestWindow[] {
  return Array.from({ length: hours * 60 }, (_, age) => ({
    endEpochSeconds: NOW - age * MINUTE,
    seconds: MINUTE,
    requests: 600,
    errors: Math.round(600 * errorRate(age)),
  }));
}

const alerts = (windows: RequestWindow[], objective = 0.99) => burnAlerts({ objective, windows, nowEpochSeconds: NOW });

test("the limits are those of the SRE workbook: 14.4, 6 and 1", () => {
  const found = alerts(minutes(80, () => 0.5));
  expect(found.map(({ threshold }) => Math.round(threshold * 1000) / 1000)).toEqual([14.4, 6, 1]);
  expect(found.map(({ rule }) => rule.severity)).toEqual(["page", "page", "ticket"]);
  expect(found[0]?.longBurn).toBeCloseTo(50, 9);
  expect(found[0]?.reason).toContain("50.0 times");
});

test("errors that ended page nobody any more, those that only began do not yet", () => {
  const ended = alerts(minutes(2, (age) => (age > 30 && age < 60 ? 0.5 : 0)));
  expect(ended.map(({ rule }) => rule.severity)).toEqual(["ticket"]);
  expect(alerts(minutes(8, (age) => (age < 5 ? 0.1 : 0)))).toEqual([]);
});

test("a slow burn is a ticket", () => {
  const found = alerts(minutes(80, () => 0.015));
  expect(found.map(({ rule }) => rule.severity)).toEqual(["ticket"]);
});

test("no traffic burns nothing, and one error in little traffic does not alert", () => {
  expect(alerts([])).toEqual([]);
  expect(alerts([{ endEpochSeconds: NOW, seconds: MINUTE, requests: 0, errors: 0 }])).toEqual([]);
  expect(alerts([{ endEpochSeconds: NOW, seconds: MINUTE, requests: 1, errors: 1 }])).toEqual([]);
});

test("a window that lies partly within counts by that part; an impossible one does not", () => {
  const one = { endEpochSeconds: NOW - HOUR / 2, seconds: HOUR, requests: 1000, errors: 500 };
  const now = { endEpochSeconds: NOW, seconds: MINUTE, requests: 500, errors: 250 };
  expect(alerts([one, now])[0]?.longBurn).toBeCloseTo(50, 9);
  expect(alerts([now, { ...now, requests: 1, errors: 1e9 }])[0]?.longBurn).toBeCloseTo(50, 9);
});

test("more errors never silence an alert", () => {
  const list = fc.array(fc.tuple(fc.nat(4000), fc.nat(100), fc.nat(100)), { maxLength: 40 });
  fc.assert(
    fc.property(list, fc.double({ min: 0.5, max: 0.999, noNaN: true }), (rows, objective) => {
      const windows = (extra: number): RequestWindow[] =>
        rows.map(([age, requests, errors]) => ({
          endEpochSeconds: NOW - age * MINUTE,
          seconds: MINUTE,
          requests,
          errors: Math.min(requests, errors + extra),
        }));
      const before = alerts(windows(0), objective).map(({ rule }) => rule);
      const after = alerts(windows(5), objective).map(({ rule }) => rule);
      expect(after).toEqual(expect.arrayContaining(before));
    }),
  );
});

test("an objective out of range is rejected", () => {
  for (const objective of [0, 1, Number.NaN]) {
    expect(() => alerts([], objective)).toThrow(expect.objectContaining({ reason: "INVALID_OPTION" }));
  }
});
