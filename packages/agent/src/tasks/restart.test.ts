import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { offerTask } from "@kedge/bus";
import { TaskState } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";

const script = (name: string, text: string) => ({ name, action: { case: "run" as const, value: { script: text } } });

describe("an agent that is killed", () => {
  let controller: ControllerFixture;
  let agent: AgentProcess | undefined;
  beforeEach(async () => {
    controller = await ControllerFixture.start("n1");
    agent = await spawnAgent(controller.dataDir);
  });
  afterEach(async () => {
    await agent?.end("SIGTERM");
    await controller.stop();
  });

  const beginTask = async (taskId: string): Promise<{ ran: string; go: string }> => {
    const ran = join(controller.dataDir, "ran");
    const go = join(controller.dataDir, "go");
    const text = `echo x >> ${ran}; echo before; while [ ! -e ${go} ]; do sleep 0.02; done; echo after`;
    const { bus, authority } = controller.testBus;
    await offerTask(bus, authority.signer, controller.offer(taskId, [script("one", text), script("two", "echo last")]));
    await waitFor(
      async () => (await controller.log(taskId)).text.includes("before"),
      () => `events ${controller.of(taskId).length}`,
    );
    return { ran, go };
  };

  it("goes on with its task when it comes back in time", async () => {
    const { ran, go } = await beginTask("adopt-1");
    await agent?.end("SIGKILL");
    agent = undefined;
    await writeFile(go, "");
    agent = await spawnAgent(controller.dataDir);
    expect((await controller.finished("adopt-1")).state).toBe(TaskState.SUCCEEDED);
    expect(await readFile(ran, "utf8")).toBe("x\n");
    const { text, sequences } = await controller.log("adopt-1");
    expect(text).toBe("before\nafter\nlast\n");
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect(controller.of("adopt-1").filter(({ event }) => event.case === "finished")).toHaveLength(1);
  });

  it("ends its task when it comes back too late", async () => {
    const { go } = await beginTask("late-1");
    await agent?.end("SIGKILL");
    agent = undefined;
    await writeFile(join(controller.dataDir, "lease"), "1000");
    agent = await spawnAgent(controller.dataDir);
    await writeFile(go, "");
    expect(existsSync(join(controller.dataDir, "tasks", "late-1"))).toBe(false);
    await offerTask(
      controller.testBus.bus,
      controller.testBus.authority.signer,
      controller.offer("next-1", [script("one", "true")]),
    );
    await controller.finished("next-1");
    expect(controller.of("late-1").some(({ event }) => event.case === "finished")).toBe(false);
    expect((await controller.log("late-1")).text).toBe("before\n");
  });
});
