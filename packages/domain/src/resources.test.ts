import { create } from "@bufbuild/protobuf";
import { CapacitySchema, ResourceRequestSchema } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { addAmounts, capacityAmounts, requestAmounts, subtractAmounts } from "./resources.ts";

test("a request has the dimensions it claims and no others", () => {
  const request = create(ResourceRequestSchema, { cpuMilli: 500, custom: { camera: 1, lidar: 0 } });
  expect(requestAmounts(request)).toEqual({ cpu_milli: 500, "custom.camera": 1 });
  expect(requestAmounts(undefined)).toEqual({});
});

test("a capacity has its fixed dimensions even when they are zero", () => {
  const capacity = create(CapacitySchema, { memoryMib: 10, custom: { camera: 2 } });
  expect(capacityAmounts(capacity)).toEqual({ cpu_milli: 0, memory_mib: 10, disk_mib: 0, "custom.camera": 2 });
  expect(capacityAmounts(undefined)).toEqual({});
});

test("subtracting what was added gives back what was there", () => {
  const amounts = fc.dictionary(fc.constantFrom("cpu_milli", "memory_mib", "custom.camera"), fc.nat());
  fc.assert(
    fc.property(amounts, amounts, (a, b) => {
      const back = subtractAmounts(addAmounts(a, b), b);
      for (const dimension of Object.keys({ ...a, ...b })) expect(back[dimension]).toBe(a[dimension] ?? 0);
    }),
  );
});
