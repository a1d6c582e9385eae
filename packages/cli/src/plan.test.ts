import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { ListNodesResponseSchema, NodeState, PlanDemandResponseSchema, PlanPipelineResponseSchema } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { kedge } from "./testing/command-line.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-plan-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const NODES = `
- { id: gpu, count: 2, labels: { zone: a }, taints: [ml], resources: { cpu: 64, memory: 256Gi, gpu: { count: 8, memory: 40Gi, model: X } }, reserved: { cpu: 8, gpu: 6 } }
- { id: small, labels: { zone: b, cores: 4 }, resources: { cpu: 4, memory: 8Gi }, reserved: { cpu: 3 } }
`;
const plan = async (...options: string[]) =>
  kedge(["plan", "--nodes", await file("nodes.yaml", NODES), ...options], { folder });

describe("copies of a demand, without a controller", () => {
  test("each goes where there is room, and the first that fits nowhere ends it", async () => {
    const { code, stdout, stderr } = await plan("--gpu", "2", "--toleration", "ml", "--count", "3");
    expect({ code, stderr }).toEqual({ code: 9, stderr: "room for 2 of 3\n" });
    const lines = stdout.split("\n").map((line) => line.split(/ {2,}/));
    expect(lines.slice(1, 4).map(([copy, node]) => [copy, node])).toEqual([
      ["1", expect.stringMatching(/^gpu-[12]$/)],
      ["2", expect.stringMatching(/^gpu-[12]$/)],
      ["3", "-"],
    ]);
    expect(lines).toContainEqual(["gpu-1", "-", "2 GPU wanted, 0 free of 8"]);
    expect(lines).toContainEqual(["small", "-", "2 GPU wanted, 0 free of 0"]);
    expect(stdout).toContain("What would help:");
  });

  test("with --json it is the controller's answer", async () => {
    const { code, stdout } = await plan("--cpu", "1", "--memory", "1Gi", "--json");
    const { placements } = fromJsonString(PlanDemandResponseSchema, stdout);
    expect({ code, nodes: placements.map((it) => it.chosenNodeId) }).toEqual({ code: 0, nodes: ["small"] });
    expect(placements[0]?.rejections.map(({ nodeId }) => nodeId)).toEqual(["gpu-1", "gpu-2"]);
  });

  test.each([
    [["--cpu", "1", "--on", "zone=b"], 0],
    [["--cpu", "1", "--require", "cores >= 4"], 0],
    [["--cpu", "1", "--require", "cores >= 5"], 9],
    [["--cpu", "1500m"], 9],
    [["--cpu", "1500m", "--toleration", "ml"], 0],
    [["--gpu-share", "0.5", "--gpu-memory", "20Gi", "--gpu-model", "X", "--toleration", "ml"], 0],
    [["--gpu-share", "0.5", "--gpu-memory", "50Gi", "--toleration", "ml"], 9],
    [["--cpu", "1", "--toleration", "ml", "--spread", "zone", "--max-skew", "1", "--count", "2"], 0],
    [["--cpu", "1", "--toleration", "ml", "--distinct-nodes", "--count", "3"], 0],
    [["--cpu", "1", "--toleration", "ml", "--distinct-nodes", "--count", "4"], 9],
    [["--custom", "camera=1"], 9],
  ])("%j exits %i", async (options, code) => {
    expect((await plan(...options)).code).toBe(code);
  });

  test("copies on distinct nodes go to different ones", async () => {
    const options = ["--cpu", "1", "--toleration", "ml", "--distinct-nodes", "--count", "3", "--json"];
    const { placements } = fromJsonString(PlanDemandResponseSchema, (await plan(...options)).stdout);
    expect(placements.map((it) => it.chosenNodeId).sort()).toEqual(["gpu-1", "gpu-2", "small"]);
  });

  test.each([
    [[], "say what to plan. Hint: Give e.g. --cpu"],
    [["--cpu", "4x"], "--cpu: must be CPU cores"],
    [["--gpu", "1", "--gpu-share", "0.5"], "--gpu-share: count and share exclude each other"],
    [["--memory", "8"], "--memory: "],
    [["--require", "zone == a"], "--require: must not use ==. Hint: write zone = ..."],
    [["--on", "bad label=a"], "--on: "],
    [["--custom", "camera=many"], "--custom: "],
    [["--priority", "1000"], "--priority: "],
    [["--max-skew", "1"], "--max-skew needs the label"],
    [["--gpu", "none"], "Expected a whole number from 1"],
    [["-f", "kedge.yaml", "--cpu", "1"], "Give either -f, or options"],
  ])("%j is refused: %s", async (options, message) => {
    expect(await plan(...options)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  });
});

describe("a pipeline, without a controller", () => {
  const PIPELINE = `
name: demo
parameters: { cores: { type: number, default: 1 } }
jobs:
  test: { resources: { cpu: "\${{ parameters.cores }}" }, steps: [{ run: "true" }] }
  train: { needs: [test], tolerations: [ml], resources: { gpu: 2 }, steps: [{ run: "true" }] }
  ok: { needs: [train], approval: {} }
`;

  test("each job is shown with its node", async () => {
    const pipeline = await file("kedge.yaml", PIPELINE);
    const { code, stdout } = await plan("-f", pipeline);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^test +- +steps +small /m);
    expect(stdout).toMatch(/^train +test +steps +gpu-[12] /m);
    expect(stdout).toMatch(/^ok +train +approval +- *$/m);
    const { stdout: json } = await plan("-f", pipeline, "--json");
    expect(Object.keys(fromJsonString(PlanPipelineResponseSchema, json).placements)).toEqual(["test", "train"]);
  });

  test("a job that fits nowhere exits 9 and is named; a wrong file exits 2", async () => {
    const pipeline = await file("kedge.yaml", PIPELINE);
    const tooBig = await plan("-f", pipeline, "-p", "cores=2");
    expect(tooBig).toMatchObject({ code: 9, stderr: "no room now for: test\n" });
    const wrong = await file("wrong.yaml", "name: demo\njobs: { a: { stepz: [] } }\n");
    expect(await plan("-f", wrong)).toMatchObject({ code: 2, stderr: expect.stringContaining(`${wrong}:2:`) });
  });
});

describe("node files", () => {
  test("what kedge get nodes --json prints, with what is reserved", async () => {
    const reserved = { cpuMilli: 1_000, gpu: { count: 1, shareMilli: 1_500, memoryMib: 3_000 } };
    const gpus = Array.from({ length: 4 }, (_, index) => ({ index, uuid: `u${index}`, memoryMib: 8_000 }));
    const capacity = { cpuMilli: 4_000, memoryMib: 8_192, gpus };
    const nodes = [
      { id: "n1", state: NodeState.READY, capacity, reserved, agentVersion: "0.1.0" },
      { id: "n2", state: NodeState.LOST, capacity, agentVersion: "0.1.0" },
    ];
    const path = await file(
      "nodes.json",
      toJsonString(ListNodesResponseSchema, create(ListNodesResponseSchema, { nodes })),
    );
    const on = (...options: string[]) => kedge(["plan", "--nodes", path, ...options], { folder });
    expect((await on("--gpu", "1")).code).toBe(0);
    expect((await on("--gpu", "2")).code).toBe(9);
    expect((await on("--gpu-share", "0.5", "--count", "3")).code).toBe(0);
    expect((await on("--gpu-share", "0.5", "--count", "4")).code).toBe(9);
    expect((await on("--cpu", "4")).stdout).toMatch(/^n2 +- +is lost$/m);
  });

  test.each([
    ["", "no list of nodes"],
    ["[]", "no list of nodes"],
    ["[{ id: a }, { id: a }]", "node a is there twice"],
    ["[{ name: a }]", "node 1 has no id"],
    ["[{ id: a, cpu: 4 }]", "node 1 (a): unknown field cpu"],
    ["[{ id: a, count: 0 }]", "count must be a whole number"],
    ["[{ id: a, labels: [] }]", "labels must be pairs"],
    ["[{ id: a, resources: { cpu: 4x } }]", "node 1 (a): resources.cpu: must be CPU cores"],
    ["[{ id: a, reserved: { gpus: 1 } }]", "node 1 (a): reserved"],
    ["[{ id: a, capacity: { cores: 4 } }]", "node 1: "],
    ["[{ id: a", "flow map"],
  ])("%j is refused: %s", async (text, message) => {
    const path = await file("nodes.yaml", text);
    const result = await kedge(["plan", "--cpu", "1", "--nodes", path], { folder });
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining("INVALID_OPTION") });
    expect(result.stderr.toLowerCase()).toContain(message.toLowerCase());
  });

  test("a file that is not there", async () => {
    const result = await kedge(["plan", "--cpu", "1", "--nodes", join(folder, "none")], { folder });
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining("cannot read") });
  });
});
