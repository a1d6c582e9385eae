import { describe, expect, it } from "vitest";
import { ticksOf } from "./cron-ticks.ts";

const at = (text: string): number => Date.parse(text);
const NOW = at("2026-03-10T05:10:30Z");

function ticks(schedule: string, timeZone: string, since: string, nowMs = NOW): unknown {
  const found = ticksOf({ schedule, timeZone }, { name: "p", sinceMs: at(since), nowMs });
  if (typeof found === "string") return found;
  return [found.due, found.next].map((ms) => ms && new Date(ms).toISOString());
}

describe("ticks", () => {
  it("come one after the other", () => {
    expect(ticks("*/15 * * * *", "", "2026-03-10T05:00:00Z")).toEqual([undefined, "2026-03-10T05:15:00.000Z"]);
    expect(ticks("*/15 * * * *", "", "2026-03-10T04:45:00Z")).toEqual([
      "2026-03-10T05:00:00.000Z",
      "2026-03-10T05:15:00.000Z",
    ]);
  });

  it("that were missed are made good once, within an hour", () => {
    expect(ticks("*/15 * * * *", "", "2026-03-09T00:00:00Z")).toEqual([
      "2026-03-10T05:00:00.000Z",
      "2026-03-10T05:15:00.000Z",
    ]);
    expect(ticks("0 3 * * *", "", "2026-03-01T00:00:00Z")).toEqual([undefined, "2026-03-11T03:00:00.000Z"]);
  });

  it("go by their time zone, also when clocks change", () => {
    expect(ticks("0 6 * * *", "Europe/Berlin", "2026-03-10T00:00:00Z")).toEqual([
      "2026-03-10T05:00:00.000Z",
      "2026-03-11T05:00:00.000Z",
    ]);
    const before = at("2026-03-28T12:00:00Z");
    expect(ticks("0 6 * * *", "Europe/Berlin", "2026-03-28T11:00:00Z", before)).toEqual([
      undefined,
      "2026-03-29T04:00:00.000Z",
    ]);
  });

  it("know weekdays by name, and both 0 and 7 as Sunday", () => {
    expect(ticks("0 12 * * sun", "", "2026-03-10T00:00:00Z")).toEqual([undefined, "2026-03-15T12:00:00.000Z"]);
    expect(ticks("0 12 * * 7", "", "2026-03-10T00:00:00Z")).toEqual([undefined, "2026-03-15T12:00:00.000Z"]);
  });

  it("settle H by the pipeline's name", () => {
    const [, next] = ticks("H H * * *", "", "2026-03-10T05:00:00Z") as string[];
    expect(next).toMatch(/^2026-03-1[01]T\d\d:\d\d:00\.000Z$/);
  });

  it("of a schedule that never comes, or makes no sense", () => {
    expect(ticks("0 0 30 2 *", "", "2026-03-10T00:00:00Z")).toEqual([undefined, undefined]);
    expect(ticks("0 0 * * *", "Mars/Base", "2026-03-10T00:00:00Z")).toMatch(/^schedule "0 0/);
    expect(ticks("x", "", "2026-03-10T00:00:00Z")).toMatch(/^schedule "x"/);
  });
});
