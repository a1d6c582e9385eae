import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FailureClass, TaskState } from "@kedge/proto";
import { connectDocker, createImageStore, createNetworks } from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";

const IMAGE = "kedge-agent-test:build";

describe("tasks in containers", () => {
  const docker = connectDocker();
  let controller: ControllerFixture;
  let agent: RunningAgent;
  beforeAll(async () => {
    controller = await ControllerFixture.start("n1-agent-test");
    agent = await startAgent(controller.options({ runtimes: ["process", "docker"], haproxyPath: "/nonexistent" }));
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

  it("refuses a build context outside the workspace", async () => {
    const build = { name: "build", action: { case: "build" as const, value: { tags: [IMAGE], context: "../.." } } };
    const { failure } = await controller.run("build-2", [build]);
    expect(failure).toMatchObject({ class: FailureClass.INVALID, step: "build" });
  });
});
