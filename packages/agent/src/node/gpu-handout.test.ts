import { create } from "@bufbuild/protobuf";
import { GpuDeviceSchema, GpuRequestSchema } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { handOutGpus } from "./gpu-handout.ts";

const device = (index: number, uuid = `GPU-${index}`) => create(GpuDeviceSchema, { index, uuid });
const ask = (init: { count?: number; shareMilli?: number; memoryMib?: number }) => create(GpuRequestSchema, init);
const devices = [device(0), device(2), device(3, "")];

describe("handOutGpus", () => {
  it.each([
    [ask({ count: 2 }), [0, 2], ["GPU-0", "GPU-2"]],
    [ask({ shareMilli: 250, memoryMib: 4096 }), [2], ["GPU-2"]],
    [ask({ count: 1 }), [3], ["3"]],
    [undefined, [], []],
    [ask({}), [], []],
  ])("gives the devices that were chosen", (request, indices, gpus) => {
    expect(handOutGpus({ devices, request, indices })).toEqual({ gpus });
  });

  it("says nothing of GPUs on a node without any", () => {
    expect(handOutGpus({ devices: [], request: undefined, indices: [] })).toEqual({ gpus: undefined });
  });

  it.each([
    [ask({ count: 1 }), [1], "this node has no GPU 1, which the controller chose; it has 0, 2, 3"],
    [ask({ count: 2 }), [0], "the controller chose 1 GPUs for a workload that asks for 2"],
    [ask({ count: 2 }), [0, 0], "the controller chose 1 GPUs for a workload that asks for 2"],
    [ask({ shareMilli: 500 }), [], "the controller chose 0 GPUs for a workload that asks for 1"],
    [undefined, [0], "the controller chose 1 GPUs for a workload that asks for 0"],
  ])("refuses what does not fit", (request, indices, problem) => {
    expect(handOutGpus({ devices, request, indices })).toEqual({ problem });
  });

  it("refuses every GPU on a node without any", () => {
    const { problem = "" } = {
      problem: undefined,
      ...handOutGpus({ devices: [], request: ask({ count: 1 }), indices: [0] }),
    };
    expect(problem).toBe("this node has no GPU 0, which the controller chose; it has none");
  });

  it("never gives another device, nor more or fewer than were asked for", () => {
    const index = fc.integer({ min: 0, max: 5 });
    fc.assert(
      fc.property(fc.uniqueArray(index), fc.array(index), fc.integer({ min: 0, max: 4 }), (have, indices, count) => {
        const handout = handOutGpus({ devices: have.map((each) => device(each)), request: ask({ count }), indices });
        if ("problem" in handout) expect(handout.problem).not.toBe("");
        else expect(handout.gpus ?? []).toEqual([...new Set(indices)].map((each) => `GPU-${each}`));
        if (!("problem" in handout)) expect(handout.gpus ?? []).toHaveLength(count);
      }),
    );
  });
});
