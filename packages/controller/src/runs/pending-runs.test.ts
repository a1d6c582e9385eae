import { beforeEach, expect, test } from "vitest";
import { PendingRuns } from "./pending-runs.ts";

let woken: string[];
let pending: PendingRuns;

const takeWoken = (): string[] => woken.splice(0);
const waits = (runId: string, ...demands: string[]): void => pending.note(runId, new Set(demands));

beforeEach(() => {
  woken = [];
  pending = new PendingRuns((runId) => woken.push(runId));
});

test("room wakes the run that waits longest for each demand, and no other", () => {
  for (const runId of ["r1", "r2", "r3"]) waits(runId, "big");
  for (const runId of ["r4", "r5"]) waits(runId, "small");
  pending.wakeFirst();
  expect(takeWoken()).toEqual(["r1", "r4"]);
  expect(pending.size).toBe(5);
});

test("a run that found room lets the next with the same demand try", () => {
  for (const runId of ["r1", "r2", "r3"]) waits(runId, "big");
  waits("r1");
  expect(takeWoken()).toEqual(["r2"]);
  waits("r2", "big");
  expect(takeWoken()).toEqual([]);
});

test("a run with two demands is woken once, and waits on for the one that is left", () => {
  waits("r1", "big", "small");
  waits("r2", "small");
  pending.wakeFirst();
  expect(takeWoken()).toEqual(["r1"]);
  waits("r1", "big");
  expect(takeWoken()).toEqual(["r2"]);
  waits("r1");
  waits("r2");
  expect([pending.size, takeWoken()]).toEqual([0, []]);
});

test("however many demands wait, room wakes few, those submitted first", () => {
  const runIds = Array.from({ length: 100 }, (_, i) => `r${100 + i}`);
  for (const runId of runIds.toReversed()) waits(runId, `demand of ${runId}`);
  pending.wakeFirst();
  expect(takeWoken()).toEqual(runIds.slice(0, 16));
  pending.wakeAll();
  expect(takeWoken()).toHaveLength(100);
});
