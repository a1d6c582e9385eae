import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { offerTask } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { createProcessRuntime } from "@kedge/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startAgent } from "./agent.ts";
import { stopNode } from "./stop-node.ts";
import { ControllerFixture, waitFor } from "./testing/agent-fixture.ts";
import { spawnAgent } from "./testing/spawn-agent.ts";

describe("stopping a node on purpose", () => {
  let controller: ControllerFixture;
  beforeEach(async () => {
    controller = await ControllerFixture.start("n1");
  });
  afterEach(() => controller.stop());

  /** A task and a replica that run. */
  async function work(): Promise<void> {
    const { bus, authority } = controller.testBus;
    const steps = [{ name: "one", action: { case: "run" as const, value: { script: "sleep 60" } } }];
    await offerTask(bus, authority.signer, controller.offer("long-1", steps));
    const dir = join(controller.dataDir, "processes");
    await waitFor(
      () => existsSync(join(dir, "long-1.0", "process")),
      () => "the task did not start",
    );
    const labels = { "kedge.node": "n1", "kedge.replica": "r1" };
    const processes = createProcessRuntime({ dir, clock: systemClock, logger: silentLogger });
    await processes.start({ id: "replica-r1", labels, command: ["sleep", "60"], env: {} });
  }

  /** The watchdog that finds nothing to do needs a moment to end. */
  const nothingLeft = async (): Promise<void> => {
    let lines: string[] = [];
    await waitFor(
      async () => {
        lines = await left();
        return lines.length === 0;
      },
      () => lines.join("\n"),
    );
  };

  /** Command lines of all processes that have to do with the node. */
  async function left(): Promise<string[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
    const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
    return lines.filter((line) => line.includes(controller.dataDir)).map((line) => line.replaceAll("\0", " "));
  }

  it("ends the agent, its tasks, replicas, gateway and watchdog, and keeps the identity", async () => {
    const agent = await spawnAgent(controller.dataDir);
    await work();
    expect((await left()).length).toBeGreaterThanOrEqual(4);
    const stopped = await stopNode(controller.dataDir, { dockerSocket: "/nonexistent" });
    expect(stopped).toEqual({ nodeId: "n1", agentPid: agent.child.pid, tasks: 1, replicas: 1 });
    await nothingLeft();
    expect(await readdir(join(controller.dataDir, "processes"))).toEqual([]);
    expect(await readdir(join(controller.dataDir, "tasks"))).toEqual([]);
    expect(existsSync(join(controller.dataDir, "identity.json"))).toBe(true);
    const again = await stopNode(controller.dataDir, { dockerSocket: "/nonexistent" });
    expect(again).toEqual({ nodeId: "n1", agentPid: undefined, tasks: 0, replicas: 0 });
  });

  it("ends it all when the agent is asked to as it stops", async () => {
    const agent = await startAgent(controller.options());
    await work();
    await agent.stop({ endWork: true });
    await nothingLeft();
  });

  it("leaves an agent of its own process alone, and a second agent out", async () => {
    const agent = await startAgent(controller.options({ haproxyPath: "/nonexistent" }));
    await expect(stopNode(controller.dataDir)).rejects.toMatchObject({ reason: "CONFLICT" });
    await expect(startAgent(controller.options())).rejects.toMatchObject({ reason: "CONFLICT" });
    await agent.stop();
  });

  it("says that a folder holds no node", async () => {
    await expect(stopNode("/nonexistent")).rejects.toMatchObject({ reason: "INVALID_OPTION", field: "dataDir" });
  });
});
