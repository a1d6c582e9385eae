import { create } from "@bufbuild/protobuf";
import { JobSpecSchema } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { jobDemand } from "./job-demand.ts";
import { jobResources } from "./job-resources.ts";

describe("what a job takes of its node", () => {
  it("is its own request and its services', GPUs of its own only; the spec stays as it is", () => {
    const gpu = { count: 1 };
    const spec = create(JobSpecSchema, {
      resources: { cpuMilli: 1000, memoryMib: 512, gpu, custom: { watts: 5 } },
      services: [
        {
          name: "db",
          image: "db:1",
          resources: { cpuMilli: 500, memoryMib: 256, gpu: { count: 2 }, custom: { watts: 1, camera: 1 } },
        },
        { name: "cache", image: "cache:1", resources: { memoryMib: 64, diskMib: 10 } },
        { name: "none", image: "none:1" },
      ],
    });
    const sum = { cpuMilli: 1500, memoryMib: 832, diskMib: 10, gpu, custom: { watts: 6, camera: 1 } };
    expect(jobResources(spec)).toMatchObject(sum);
    expect(jobResources(spec)).toMatchObject(sum);
    const demand = jobDemand("k", spec, { runId: "r", pipeline: "p", bytesOf: () => 1 });
    expect(demand.resources).toMatchObject(sum);
    expect(demand.artifacts?.map(({ name }) => name)).toEqual(["db:1", "cache:1", "none:1"]);
  });

  it("is its request alone when services ask for nothing", () => {
    const spec = create(JobSpecSchema, { resources: { cpuMilli: 1 }, services: [{ name: "db", image: "db:1" }] });
    expect(jobResources(spec)).toBe(spec.resources);
    expect(jobResources(create(JobSpecSchema, {}))).toBeUndefined();
  });
});
