import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { offerTask, subscribeHeartbeats } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import {
  AssignmentSchema,
  FailureClass,
  GpuDeviceSchema,
  type Heartbeat,
  ReplicaAssignmentSchema,
  type TaskFinished,
} from "@kedge/proto";
import { createProcessRuntime } from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { pushVoiceModel } from "../testing/pushed-model.ts";

const GPUS = [0, 1, 2].map((index) => create(GpuDeviceSchema, { index, uuid: `GPU-${index}`, memoryMib: 40_960 }));
const PRINT = 'echo "visible=$CUDA_VISIBLE_DEVICES." > out';

describe("GPUs", () => {
  let controller: ControllerFixture;
  let agent: RunningAgent;
  let heartbeat: Heartbeat | undefined;
  beforeAll(async () => {
    controller = await ControllerFixture.start("gpus-agent-test");
    subscribeHeartbeats(controller.testBus.bus, (each) => {
      heartbeat = each;
    });
    const capacity = { gpus: GPUS, memoryMib: 1024, custom: { watts: 700 }, costPerHour: 2.75 };
    agent = await startAgent(controller.options({ capacity }));
  });
  afterAll(async () => {
    await agent?.stop({ endWork: true });
    await controller?.stop();
  });

  /** Runs a script with the GPUs that the controller chose. */
  async function run(taskId: string, gpuIndices: number[], gpu?: { count?: number; shareMilli?: number }) {
    const step = { name: "s", outputsFile: "out", action: { case: "run" as const, value: { script: PRINT } } };
    const offer = controller.offer(taskId, [step], gpu === undefined ? {} : { resources: { gpu } });
    offer.gpuIndices = gpuIndices;
    await offerTask(controller.testBus.bus, controller.testBus.authority.signer, offer);
    return controller.finished(taskId);
  }

  const visible = ({ outputs }: TaskFinished) => outputs["visible"];

  it("are told to steps by the ids of the chosen devices", async () => {
    expect(visible(await run("two", [0, 2], { count: 2 }))).toBe("GPU-0,GPU-2.");
    expect(visible(await run("part", [1], { shareMilli: 500 }))).toBe("GPU-1.");
  });

  it("are hidden from steps that ask for none", async () => {
    expect(visible(await run("none", []))).toBe(".");
  });

  it("that the node does not have fail a task as the infrastructure's fault, before its first step", async () => {
    const { failure, outputs } = await run("missing", [7], { count: 1 });
    const message = "this node has no GPU 7, which the controller chose; it has 0, 1, 2";
    expect(failure).toMatchObject({ class: FailureClass.INFRASTRUCTURE, message, step: "s" });
    expect(outputs).toEqual({});
    expect((await controller.log("missing")).text).toContain(message);
  });

  it("are told to model servers, and what is missing is said of the replica", async () => {
    const manifestDigest = await pushVoiceModel(controller, "silero_vad_v5.onnx");
    const replica = (index: number) =>
      create(ReplicaAssignmentSchema, {
        replicaId: `vad.1.gpu.${index}`,
        deployment: "vad",
        revision: 1,
        template: {
          source: { case: "model", value: { model: "vad", version: "1" } },
          resources: { gpu: { count: 1 } },
        },
        manifestDigest,
        gpuIndices: [index],
      });
    const { nodeId } = controller;
    const assignment = { nodeId, generation: 1n, replicas: [replica(2), replica(5)] };
    await controller.assignments.create(nodeId, create(AssignmentSchema, assignment));
    const message = await waitFor(
      () => heartbeat?.replicas.find(({ replicaId }) => replicaId === "vad.1.gpu.5")?.message || undefined,
      () => JSON.stringify(heartbeat?.replicas.map(({ replicaId, state }) => [replicaId, state])),
    );
    expect(message).toBe("this node has no GPU 5, which the controller chose; it has 0, 1, 2");
    const dir = join(controller.dataDir, "processes");
    const processes = createProcessRuntime({ dir, clock: systemClock, logger: silentLogger });
    const pid = await waitFor(
      async () => (await processes.list({ "kedge.replica": "vad.1.gpu.2" }))[0]?.pid,
      () => "the replica does not run",
    );
    expect((await readFile(`/proc/${pid}/environ`, "utf8")).split("\0")).toContain("CUDA_VISIBLE_DEVICES=GPU-2");
  });

  it("are reported with custom resources and the node's cost", async () => {
    const capacity = await waitFor(
      () => heartbeat?.capacity,
      () => "no heartbeat",
    );
    expect(capacity).toMatchObject({ custom: { watts: 700 }, costPerHour: 2.75, gpus: GPUS });
  });
});
