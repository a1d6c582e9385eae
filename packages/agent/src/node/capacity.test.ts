import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { measureCapacity, measureLoad } from "./capacity.ts";

describe("measureCapacity", () => {
  it("measures this machine", async () => {
    const capacity = await measureCapacity(tmpdir(), { gpus: [] });
    expect(capacity.cpuMilli).toBeGreaterThanOrEqual(1000);
    expect(capacity.memoryMib).toBeGreaterThan(64);
    expect(capacity.diskMib).toBeGreaterThan(64);
  });

  it("reports overrides as they are", async () => {
    const capacity = await measureCapacity(tmpdir(), {
      cpuMilli: 500,
      memoryMib: 7,
      diskMib: 9,
      gpus: [],
      custom: { camera: 2 },
      costPerHour: 1.5,
    });
    expect(capacity).toMatchObject({
      cpuMilli: 500,
      memoryMib: 7,
      diskMib: 9,
      custom: { camera: 2 },
      costPerHour: 1.5,
    });
  });

  it("reads load and free memory", () => {
    expect(measureLoad().freeMemoryMib).toBeGreaterThan(0);
  });
});
