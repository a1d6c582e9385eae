import { describe, expect, it } from "vitest";
import { resolveAgentOptions } from "./config.ts";
import type { CapacityOverride } from "./node/capacity.ts";

const resolve = (capacity: CapacityOverride) =>
  resolveAgentOptions({ dataDir: "/data", modelServerEntry: "/server.js", capacity });

describe("resolveAgentOptions", () => {
  it("takes custom resources and a cost", () => {
    const capacity = { custom: { watts: 700, "example.org/nic": 0 }, costPerHour: 2.75 };
    expect(resolve(capacity).capacity).toEqual(capacity);
    expect(resolve({ costPerHour: 0 }).capacity.costPerHour).toBe(0);
  });

  it.each<[string, CapacityOverride]>([
    ["capacity.costPerHour", { costPerHour: -1 }],
    ["capacity.costPerHour", { costPerHour: Number.NaN }],
    ["capacity.costPerHour", { costPerHour: Number.POSITIVE_INFINITY }],
    ["capacity.custom.watts", { custom: { watts: 0.5 } }],
    ["capacity.custom.watts", { custom: { watts: 2 ** 32 } }],
    ["capacity.custom", { custom: { "a b": 1 } }],
    ["capacity.cpuMilli", { cpuMilli: -1 }],
  ])("refuses %s", (field, capacity) => {
    expect(() => resolve(capacity)).toThrow(expect.objectContaining({ reason: "INVALID_OPTION", field }));
  });
});
