import { create } from "@bufbuild/protobuf";
import { ResourceRequestSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { sumOf } from "./reserved-sum.ts";

test("claims add up by dimension; parts of devices apart from whole ones", () => {
  const requests = [
    create(ResourceRequestSchema, { cpuMilli: 500, custom: { camera: 1 } }),
    create(ResourceRequestSchema, { cpuMilli: 1_000, memoryMib: 64, custom: { camera: 1 } }),
    create(ResourceRequestSchema, { gpu: { count: 2, memoryMib: 40_960 } }),
    create(ResourceRequestSchema, { gpu: { shareMilli: 700, memoryMib: 1_000 } }),
    create(ResourceRequestSchema, { gpu: { shareMilli: 800, memoryMib: 2_000 } }),
    undefined,
  ];
  expect(sumOf(requests)).toEqual(
    create(ResourceRequestSchema, {
      cpuMilli: 1_500,
      memoryMib: 64,
      custom: { camera: 2 },
      gpu: { count: 2, shareMilli: 1_500, memoryMib: 3_000 },
    }),
  );
});

test("nothing claimed is nothing, without GPU", () => {
  expect(sumOf([])).toEqual(create(ResourceRequestSchema));
});
