import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { offerTask, subscribeHeartbeats } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { FailureClass, GpuDeviceSchema, type Heartbeat, TaskState } from "@kedge/proto";
import { connectDocker, createDockerRuntime, createImageStore, createNetworks } from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { stopNode } from "../stop-node.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";

const IMAGE = "kedge-agent-test:build";

describe("tasks in containers", () => {
  const docker = connectDocker();
  let controller: ControllerFixture;
  let agent: RunningAgent;
  let heartbeat: Heartbeat | undefined;
  beforeAll(async () => {
    controller = await ControllerFixture.start("n1-agent-test");
    subscribeHeartbeats(controller.testBus.bus, (each) => {
      heartbeat = each;
    });
    const capacity = { gpus: [create(GpuDeviceSchema, { index: 1, uuid: "GPU-1" })], memoryMib: 1024 };
    const runtimes = ["process", "docker"] as const;
    agent = await startAgent(controller.options({ runtimes, haproxyPath: "/nonexistent", capacity }));
  });
  afterAll(async () => {
    await agent?.stop();
    await createImageStore({ docker }).remove(IMAGE);
    await controller?.stop();
  });

  it("builds an image and runs a step in it", async () => {
    const dockerfile = "FROM scratch\\nCOPY busybox /bin/busybox\\nCOPY busybox /bin/sh\\n";
    const prepare = `cp /bin/busybox . || cp "$(command -v busybox)" .; printf '${dockerfile}' > Dockerfile`;
    const finished = await controller.run("build-1", [
      { name: "prepare", action: { case: "run", value: { script: prepare } } },
      { name: "build", action: { case: "build", value: { tags: [IMAGE] } } },
      {
        name: "use",
        outputsFile: "out",
        action: {
          case: "run",
          value: { image: IMAGE, script: 'cd "$KEDGE_WORKSPACE"; echo "WHERE=$KEDGE_WORKSPACE" > out; echo inside' },
        },
      },
    ]);
    expect(finished.failure).toBeUndefined();
    expect(finished.state).toBe(TaskState.SUCCEEDED);
    expect(finished.outputs).toMatchObject({ image: IMAGE, WHERE: "/workspace" });
    expect(finished.outputs["image_id"]).toMatch(/^sha256:/);
    expect((await controller.log("build-1")).text).toContain("inside\n");
    await waitFor(
      async () => (await readdir(join(controller.dataDir, "tasks"))).length === 0,
      () => "the task's folder is still there",
    );
    expect(await createNetworks(docker).list({ "kedge.task": "build-1" })).toEqual([]);
  });

  it("tells the engine's images and their sizes", async () => {
    const { Size } = await docker.getImage(IMAGE).inspect();
    const sizes = await waitFor(
      () => (heartbeat?.cachedImages.includes(IMAGE) ? heartbeat.imageBytes : undefined),
      () => `images: ${heartbeat?.cachedImages}`,
    );
    expect(sizes[IMAGE]).toBe(BigInt(Size));
  });

  it("fails a step as the infrastructure's fault when the engine has no driver for its GPU", async () => {
    const step = { name: "gpu", action: { case: "run" as const, value: { image: IMAGE, script: "true" } } };
    const offer = controller.offer("gpu-1", [step], { resources: { gpu: { count: 1 } } });
    offer.gpuIndices = [1];
    await offerTask(controller.testBus.bus, controller.testBus.authority.signer, offer);
    const { failure } = await controller.finished("gpu-1");
    expect(failure).toMatchObject({ class: FailureClass.INFRASTRUCTURE, step: "gpu" });
    expect(failure?.message).toContain("the engine could not give it a GPU");
  });

  it("hides GPUs from a container that asks for none", async () => {
    const print = 'echo "$NVIDIA_VISIBLE_DEVICES/$CUDA_VISIBLE_DEVICES."';
    await controller.run("gpu-2", [{ name: "s", action: { case: "run", value: { image: IMAGE, script: print } } }]);
    expect((await controller.log("gpu-2")).text).toContain("void/.\n");
  });

  it("ends a container whose agent left and did not come back", async () => {
    const other = await ControllerFixture.start("n2-agent-test");
    const containers = ["process", "docker"] as const;
    const options = other.options({ runtimes: containers, haproxyPath: "/nonexistent", leaseMs: 2000 });
    const leaving = await startAgent(options);
    try {
      const steps = [{ name: "one", action: { case: "run" as const, value: { image: IMAGE, script: "sleep 60" } } }];
      const { bus, authority } = other.testBus;
      await offerTask(bus, authority.signer, other.offer("left-1", steps));
      await waitFor(
        () => existsSync(join(other.dataDir, "tasks", "left-1", "container.0")),
        () => "no container was noted",
      );
      await leaving.stop();
      const instance = "n2-agent-test";
      const runtime = createDockerRuntime({ docker, clock: systemClock, logger: silentLogger, instance });
      const state = async (): Promise<string | undefined> => (await runtime.list({}))[0]?.state;
      expect(await state()).toBe("running");
      await waitFor(
        async () => (await state()) === "exited",
        () => "the container runs still",
        20_000,
      );
    } finally {
      await leaving.stop();
      await stopNode(other.dataDir);
      await other.stop();
    }
  }, 60_000);

  it("refuses a build context outside the workspace", async () => {
    const build = { name: "build", action: { case: "build" as const, value: { tags: [IMAGE], context: "../.." } } };
    const { failure } = await controller.run("build-2", [build]);
    expect(failure).toMatchObject({ class: FailureClass.INVALID, step: "build" });
  });
});
