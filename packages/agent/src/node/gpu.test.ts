import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findGpus, parseGpuList } from "./gpu.ts";

const RECORDED = `0, GPU-5a1b0c9e-7d3f-4f52-9a51-0f8f5c1d2e3a, NVIDIA A100-SXM4-40GB, 40960, 550.54.15
1, GPU-77f0d1c2-1111-2222-3333-444455556666, NVIDIA A100-SXM4-40GB, [N/A], 550.54.15
  MIG 3g.20gb     Device  0: (UUID: MIG-1f2e3d4c-aaaa-bbbb-cccc-ddddeeeeffff)
0, MIG-1f2e3d4c-aaaa-bbbb-cccc-ddddeeeeffff, NVIDIA A100 MIG 3g.20gb, 19968, 550.54.15
2, GPU-00000000-0000-0000-0000-000000000002, Orin (nvgpu), [Not Supported], [N/A]

Unable to determine the device handle for GPU0000:41:00.0: Unknown Error
`;

describe("parseGpuList", () => {
  it("reads devices and skips what is not one", () => {
    const gpus = parseGpuList(RECORDED);
    expect(gpus.map((gpu) => [gpu.index, gpu.memoryMib, gpu.driverVersion])).toEqual([
      [0, 40960, "550.54.15"],
      [1, 0, "550.54.15"],
      [2, 0, ""],
    ]);
    expect(gpus[0]?.model).toBe("NVIDIA A100-SXM4-40GB");
  });

  it("never throws", () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseGpuList(text))));
  });
});

describe("findGpus", () => {
  it("finds none without nvidia-smi", async () => {
    expect(await findGpus("/nonexistent/nvidia-smi")).toEqual([]);
  });
});
