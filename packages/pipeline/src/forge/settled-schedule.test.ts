import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { settledSchedule } from "./settled-schedule.ts";

describe("H in a schedule", () => {
  it("is one value for one name, and spread over names", () => {
    const names = Array.from({ length: 600 }, (_, i) => `pipeline-${i}`);
    const minutes = names.map((name) => settledSchedule("H * * * *", name));
    expect(settledSchedule("H * * * *", "pipeline-0")).toBe(minutes[0]);
    expect(new Set(minutes).size).toBe(60);
  });

  it("stays within fields, ranges and months of any length", () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        const [minute, hour, day, month, weekday] = settledSchedule("H(10-19) H/6 H H H", name).split(" ");
        expect(Number(minute)).toBeGreaterThanOrEqual(10);
        expect(Number(minute)).toBeLessThanOrEqual(19);
        expect(hour).toMatch(/^[0-5]-23\/6$/);
        expect(Number(day)).toBeLessThanOrEqual(28);
        expect(Number(month)).toBeLessThanOrEqual(12);
        expect(Number(weekday)).toBeLessThanOrEqual(6);
      }),
    );
  });

  it("leaves everything else as it is", () => {
    expect(settledSchedule(" */5  1,2 1-7 jan-mar mon ", "x")).toBe("*/5 1,2 1-7 jan-mar mon");
  });
});
