import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TaskState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture } from "../testing/agent-fixture.ts";

const SILERO = fileURLToPath(
  new URL("../../../../node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx", import.meta.url),
);
let controller: ControllerFixture;
let agent: RunningAgent;
beforeAll(async () => {
  controller = await ControllerFixture.start("n1");
  agent = await startAgent(controller.options({ haproxyPath: "/nonexistent" }));
  await copyFile(SILERO, join(controller.dataDir, "vad.onnx"));
});
afterAll(async () => {
  await agent?.stop();
  await controller?.stop();
});

/** A model in m/, an example a line in d.jsonl: silence is no speech. */
function prepare(expected: string): string {
  const state = "Array(256).fill(0)";
  const inputs = `{input:Array(512).fill(0),sr:16000,state:{shape:[2,1,128],data:${state}}}`;
  const line = `JSON.stringify({inputs:${inputs},expected:${expected}})`;
  return [
    "mkdir m",
    `cp ${join(controller.dataDir, "vad.onnx")} m/model.onnx`,
    `${process.execPath} -e 'console.log(${line}+"\\n\\n"+${line})' > d.jsonl`,
  ].join("\n");
}

describe("model steps", () => {
  it("makes weights smaller, and measures what that costs", async () => {
    const finished = await controller.run("both", [
      { name: "get", action: { case: "run", value: { script: prepare("0") } } },
      { name: "small", action: { case: "quantize", value: { path: "m/model.onnx", output: "m/small.onnx" } } },
      { name: "move", action: { case: "run", value: { script: "rm m/model.onnx" } } },
      {
        name: "try",
        action: { case: "evaluate", value: { path: "m", data: "d.jsonl", output: "output", tolerance: 0.1 } },
      },
    ]);
    expect(finished.failure?.message).toBeUndefined();
    const { metrics } = finished;
    expect(metrics).toMatchObject({ examples: 2, accuracy: 1 });
    expect(metrics["bytes_after"]).toBeLessThan((metrics["bytes_before"] ?? 0) * 0.35);
    expect(metrics["size_ratio"]).toBeCloseTo((metrics["bytes_after"] ?? 0) / (metrics["bytes_before"] ?? 0), 6);
    expect(metrics["max_weight_error"]).toBeGreaterThan(0);
    expect(metrics["mean_absolute_error"]).toBeLessThan(0.1);
    expect(metrics["latency_ms_p95"]).toBeGreaterThan(0);
  });

  it("fails with the line at fault in the log", async () => {
    const finished = await controller.run("wrong", [
      {
        name: "get",
        action: { case: "run", value: { script: `${prepare("0")}\necho '{"inputs":{"x":1}}' >> d.jsonl` } },
      },
      { name: "try", action: { case: "evaluate", value: { path: "m", data: "d.jsonl" } } },
    ]);
    expect(finished).toMatchObject({ state: TaskState.FAILED, failure: { message: "exited with code 1" } });
    expect((await controller.log("wrong")).text).toContain("line 4: tensor 'x': not an input of the model");
  });

  it("reads and writes nothing outside of the workspace", async () => {
    const failure = async (task: string, script: string, action: Parameters<typeof controller.run>[1]) => {
      const first = { name: "get", action: { case: "run" as const, value: { script } } };
      return (await controller.run(task, [first, ...(action ?? [])])).failure?.message;
    };
    const evaluate = { name: "e", action: { case: "evaluate" as const, value: { path: "m", data: "d" } } };
    const quantize = { name: "q", action: { case: "quantize" as const, value: { path: "m/a", output: "out/b" } } };
    expect(await failure("o1", "mkdir m; ln -s /etc/passwd m/model.onnx; touch d", [evaluate])).toContain(
      "neither a file",
    );
    expect(await failure("o2", "mkdir m; touch m/model.onnx; ln -s /etc/passwd d", [evaluate])).toContain(
      "outside the workspace",
    );
    expect(await failure("o3", "mkdir m; touch m/a; ln -s /tmp out", [quantize])).toContain("outside the workspace");
  });
});
