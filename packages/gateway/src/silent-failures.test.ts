import fc from "fast-check";
import { expect, test } from "vitest";
import { SilentFailures, type TrackedRequests } from "./silent-failures.ts";

const tracked = (entries: Record<string, [begun: number, underWay: number]>): Map<string, TrackedRequests> =>
  new Map(Object.entries(entries).map(([key, [begun, underWay]]) => [key, { begun, underWay }]));

function started(): SilentFailures {
  const failures = new SilentFailures();
  failures.prepare();
  failures.find(new Map(), 0);
  return failures;
}

test("what has begun, is not under way and has no line is found once", () => {
  const failures = started();
  for (let i = 0; i < 5; i++) failures.line("e1:7");
  expect(failures.find(tracked({ "e1:7": [8, 1] }), 0)).toEqual(new Map([["e1:7", 2]]));
  expect(failures.find(tracked({ "e1:7": [8, 1] }), 0)).toEqual(new Map());
  expect(failures.find(tracked({ "e1:7": [9, 0] }), 0)).toEqual(new Map([["e1:7", 2]]));
});

test("what was before it began, or before a HAProxy was started anew, is not looked at", () => {
  const failures = new SilentFailures();
  expect(failures.find(tracked({ "7": [90, 0] }), 0)).toEqual(new Map());
  failures.prepare();
  expect(failures.find(tracked({ "7": [100, 0] }), 0)).toEqual(new Map());
  expect(failures.find(tracked({ "7": [101, 0] }), 0)).toEqual(new Map([["7", 1]]));
  failures.beginAnew();
  failures.prepare();
  expect(failures.find(tracked({ "7": [500, 0] }), 0)).toEqual(new Map());
  expect(failures.find(tracked({ "7": [3, 0] }), 0)).toEqual(new Map());
  expect(failures.find(tracked({ "7": [5, 0] }), 0)).toEqual(new Map([["7", 2]]));
});

test("while lines are missing nothing is found, and what was lost for good is nobody's", () => {
  const failures = started();
  expect(failures.find(tracked({ "7": [4, 0] }), 2)).toEqual(new Map());
  failures.line("7");
  failures.line("7");
  expect(failures.find(tracked({ "7": [4, 0] }), 0)).toEqual(new Map([["7", 2]]));
  for (let i = 0; i < 3; i++) {
    failures.prepare();
    expect(failures.find(tracked({ "7": [9, 0] }), 3)).toEqual(new Map());
  }
  expect(failures.find(tracked({ "7": [10, 0] }), 3)).toEqual(new Map([["7", 1]]));
});

const step = fc.record({
  answered: fc.nat(5),
  silent: fc.nat(3),
  underWay: fc.nat(4),
  early: fc.nat(5),
  event: fc.constantFrom("none", "none", "none", "restart", "expire"),
});

test("never finds more than there were, and all of them in the end when HAProxy lives on", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const failures = started();
      let begun = 0;
      let silent = 0;
      let found = 0;
      let isWhole = true;
      const look = (counted: number, underWay: number) => {
        failures.prepare();
        for (const [, count] of failures.find(tracked({ k: [counted, underWay] }), 0)) found += count;
      };
      const lines = (count: number) => {
        for (let i = 0; i < count; i++) failures.line("k");
      };
      let unfinished = 0;
      for (const { answered, silent: more, underWay, early, event } of steps) {
        if (event !== "none") {
          isWhole = false;
          begun = 0;
          if (event === "restart") failures.beginAnew();
        }
        begun += answered + more + underWay;
        silent += more;
        // Those that were under way have ended; of those that are, some end after HAProxy counted them and before the mark.
        const soon = Math.min(early, underWay);
        lines(answered + unfinished + soon);
        unfinished = underWay - soon;
        look(begun, underWay);
        expect(found).toBeLessThanOrEqual(silent);
      }
      lines(unfinished);
      look(begun, 0);
      expect(found).toBeLessThanOrEqual(silent);
      if (isWhole) expect(found).toBe(silent);
    }),
  );
});
