import { create } from "@bufbuild/protobuf";
import { type GpuRequest, GpuRequestSchema, type ResourceRequest, ResourceRequestSchema } from "@kedge/proto";
import { z } from "zod";
import { cpu, labelKey, mebibytes, report, someText, whole } from "./fields.ts";

const gpuFields = z
  .strictObject({
    count: whole(1, 64).optional(),
    share: z.number().gt(0).max(1).optional().meta({ description: "Part of one device's compute." }),
    memory: mebibytes.optional().meta({ description: "Device memory, per device." }),
    model: someText.optional().meta({ description: "Device model as its driver names it." }),
  })
  .superRefine((gpu, ctx) => {
    if (gpu.count !== undefined && gpu.share !== undefined) {
      report(ctx, "count and share exclude each other", {
        path: ["share"],
        atKey: true,
        hint: "share is a part of one device",
      });
    }
  });

/** What a job or replica needs on one node. */
export const resourcesSchema = z.strictObject({
  cpu: cpu.optional(),
  memory: mebibytes.optional(),
  disk: mebibytes.optional(),
  gpu: z.union([whole(1, 64), gpuFields]).optional(),
  custom: z.record(labelKey, whole(1, 1_000_000)).optional(),
});

/** The request as the scheduler takes it. */
export function compileResources(resources: z.output<typeof resourcesSchema> | undefined): ResourceRequest {
  return create(ResourceRequestSchema, {
    cpuMilli: resources?.cpu ?? 0,
    memoryMib: resources?.memory ?? 0,
    diskMib: resources?.disk ?? 0,
    custom: { ...resources?.custom },
    ...(resources?.gpu === undefined ? {} : { gpu: compileGpu(resources.gpu) }),
  });
}

function compileGpu(gpu: number | z.output<typeof gpuFields>): GpuRequest {
  if (typeof gpu === "number") return create(GpuRequestSchema, { count: gpu });
  return create(GpuRequestSchema, {
    count: gpu.share === undefined ? (gpu.count ?? 1) : 0,
    shareMilli: gpu.share === undefined ? 0 : Math.max(1, Math.round(gpu.share * 1000)),
    memoryMib: gpu.memory ?? 0,
    model: gpu.model ?? "",
  });
}
