import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { offerTask } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { createProcessRuntime, type Runtime } from "@kedge/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startAgent } from "../agent.ts";
import { isRunning, type ProcessIdentity, parseIdentity, signalProcess } from "../state/process-identity.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";
import { bootTimeMs } from "./boot-clock.ts";
import { LeaseFile } from "./lease-file.ts";

const LEASE_MS = 2000;

describe("the watchdog", () => {
  let controller: ControllerFixture;
  let agent: AgentProcess | undefined;
  let processes: Runtime;
  beforeEach(async () => {
    controller = await ControllerFixture.start("n1");
    agent = await spawnAgent(controller.dataDir, { leaseMs: LEASE_MS });
    const dir = join(controller.dataDir, "processes");
    processes = createProcessRuntime({ dir, clock: systemClock, logger: silentLogger });
  });
  afterEach(async () => {
    await agent?.end("SIGTERM");
    await controller.stop();
  });

  const watchdog = async (other?: ProcessIdentity): Promise<ProcessIdentity> =>
    waitFor(
      async () => {
        const text = await readFile(join(controller.dataDir, "watchdog"), "utf8").catch(() => "");
        const identity = parseIdentity(text);
        return identity !== undefined && identity.pid !== other?.pid ? identity : undefined;
      },
      () => "no new watchdog",
    );
  const gone = (identity: ProcessIdentity): Promise<boolean> =>
    waitFor(
      async () => !(await isRunning(identity)),
      () => `${identity.pid} runs still`,
    );

  async function beginTask(taskId: string): Promise<ProcessIdentity> {
    const steps = [{ name: "one", action: { case: "run" as const, value: { script: "sleep 60 & sleep 60" } } }];
    await offerTask(controller.testBus.bus, controller.testBus.authority.signer, controller.offer(taskId, steps));
    const file = join(controller.dataDir, "processes", `${taskId}.0`, "process");
    const stat = await waitFor(
      async () => (await readFile(file, "utf8").catch(() => "")) || undefined,
      () => "not started",
    );
    const [pid = "", startTicks = ""] = [stat.split(" ")[0], stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]];
    return { pid: Number(pid), startTicks };
  }

  it("ends the tasks of an agent that was killed and does not come back, and no replica", async () => {
    const step = await beginTask("abandoned-1");
    const replica = { id: "replica-r1", labels: { "kedge.replica": "r1" }, command: ["sleep", "60"], env: {} };
    await processes.start(replica);
    await agent?.end("SIGKILL");
    agent = undefined;
    const renewedAt = await new LeaseFile(controller.dataDir).load();
    await gone(step);
    expect(bootTimeMs() - (renewedAt ?? 0)).toBeGreaterThanOrEqual(LEASE_MS);
    const states = (await processes.list({})).map(({ id, state }) => `${id} ${state}`).sort();
    expect(states).toEqual(["abandoned-1.0 exited", "replica-r1 running"]);
    agent = await spawnAgent(controller.dataDir, { leaseMs: LEASE_MS });
    expect(existsSync(join(controller.dataDir, "tasks", "abandoned-1"))).toBe(false);
    expect(controller.of("abandoned-1").some(({ event }) => event.case === "finished")).toBe(false);
  });

  it("is replaced by the living agent, and by the next one", async () => {
    const first = await watchdog();
    await signalProcess(first, "SIGKILL");
    const second = await watchdog(first);
    await agent?.end("SIGKILL");
    await signalProcess(second, "SIGKILL");
    agent = await spawnAgent(controller.dataDir);
    const third = await watchdog(second);
    const step = await beginTask("watched-1");
    await agent.end("SIGKILL");
    agent = await spawnAgent(controller.dataDir);
    await watchdog(third);
    await gone(third);
    expect(await isRunning(step)).toBe(true);
  });

  it("ends with an agent that leaves no task", async () => {
    const first = await watchdog();
    await agent?.end("SIGTERM");
    agent = undefined;
    await gone(first);
    const inProcess = await startAgent(controller.options({ haproxyPath: "/nonexistent" }));
    const second = await watchdog(first);
    await inProcess.stop();
    await gone(second);
    expect(existsSync(join(controller.dataDir, "watchdog"))).toBe(false);
  });

  it("outlives an agent that leaves a task, to the end of the lease", async () => {
    const step = await beginTask("left-1");
    const own = await watchdog();
    await agent?.end("SIGTERM");
    agent = undefined;
    expect(await isRunning(step)).toBe(true);
    await gone(step);
    await gone(own);
  });
});
