import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { offerTask } from "@kedge/bus";
import { silentLogger as logger, systemClock } from "@kedge/kernel";
import { ServiceSchema } from "@kedge/proto";
import {
  buildHostBaseImage,
  connectDocker,
  createImageStore,
  createNetworks,
  createProcessRuntime,
} from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAgent } from "../agent.ts";
import { resolveAgentOptions } from "../config.ts";
import { openRuntimes } from "../node/runtimes.ts";
import { stopNode } from "../stop-node.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { spawnAgent } from "../testing/spawn-agent.ts";
import { sweepOrphans } from "./orphans.ts";

const IMAGE = `kedge-agent-test/orphans:${process.pid}`;
const docker = connectDocker();
const images = createImageStore({ docker });
const script = (name: string, text: string, image = "") => ({
  name,
  action: { case: "run" as const, value: { script: text, image } },
});

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("what tasks leave that are over", () => {
  beforeAll(() => buildHostBaseImage({ images, tag: IMAGE, programs: ["busybox"] }));
  afterAll(() => images.remove(IMAGE));

  it("is found by its labels and removed; what is live, not a task's, or another installation's stays", async () => {
    const controller = await ControllerFixture.start("n1-orphans-test");
    const { dataDir, nodeId } = controller;
    const runtimes = await openRuntimes(
      resolveAgentOptions(controller.options({ runtimes: ["process", "docker"] })),
      nodeId,
    );
    try {
      for (const taskId of ["gone-1", "live-1", "other-1", ""]) {
        const task = taskId === "" ? { "kedge.replica": "r" } : { "kedge.task": taskId };
        const home = join(taskId === "other-1" ? "/elsewhere" : dataDir, "tasks");
        const labels: Record<string, string> = { "kedge.node": nodeId, "kedge.tasks": home, ...task };
        const common = { labels, command: ["sh", "-c", "sleep 60"], env: {} };
        await runtimes.networks?.ensure(`kedge-${taskId || "own-net"}`, labels);
        await runtimes.process?.start({ ...common, id: `p.${taskId}` });
        await runtimes.docker?.start({
          ...common,
          id: `d.${taskId}`,
          image: IMAGE,
          network: `kedge-${taskId || "own-net"}`,
        });
      }
      const isLive = (taskId: string): boolean => ["live-1", "own-net"].includes(taskId);
      await sweepOrphans({ nodeId, tasksDir: join(dataDir, "tasks"), runtimes, isLive, logger });
      for (const [kind, runtime] of [
        ["p", runtimes.process],
        ["d", runtimes.docker],
      ] as const) {
        const left = (await runtime?.list({ "kedge.node": nodeId }))?.map(({ id }) => id).toSorted();
        expect(left).toEqual([`${kind}.`, `${kind}.live-1`, `${kind}.other-1`]);
      }
      const networks = await runtimes.networks?.list({ "kedge.node": nodeId });
      expect(networks?.toSorted()).toEqual(["kedge-live-1", "kedge-other-1", "kedge-own-net"]);
    } finally {
      await stopNode(dataDir);
      await controller.stop();
    }
  });

  it("is ended also when it left its process group", async () => {
    const controller = await ControllerFixture.start("n1");
    const agent = await startAgent(controller.options());
    try {
      const pidFile = join(controller.dataDir, "stray");
      const leave = `setsid sh -c 'echo $$ >${pidFile}; exec sleep 300' </dev/null >/dev/null 2>&1 & while [ ! -s ${pidFile} ]; do sleep 0.02; done`;
      await controller.run("stray-1", [script("main", leave)]);
      const pid = Number(await readFile(pidFile, "utf8"));
      expect(runs(pid)).toBe(true);
      const process = createProcessRuntime({ dir: join(controller.dataDir, "processes"), clock: systemClock, logger });
      const runtimes = {
        process,
        docker: undefined,
        images: undefined,
        networks: undefined,
        access: undefined,
        gpus: [],
        modelServerEntry: "/dev/null",
      };
      const search = { nodeId: "n1", tasksDir: join(controller.dataDir, "tasks"), runtimes, logger };
      await sweepOrphans({ ...search, isLive: (taskId) => taskId === "stray-1" });
      expect(runs(pid)).toBe(true);
      await sweepOrphans({ ...search, isLive: () => false });
      await waitFor(
        () => !runs(pid),
        () => `process ${pid} runs still`,
      );
    } finally {
      await agent.stop();
      await controller.stop();
    }
  });

  it("is gone after kills between any two steps of a start", async () => {
    const controller = await ControllerFixture.start("n2-orphans-test");
    const { nodeId, dataDir, testBus } = controller;
    const runtimes = ["process", "docker"] as const;
    const service = create(ServiceSchema, { name: "db", image: IMAGE, command: ["sleep", "60"] });
    try {
      for (const [round, delayMs] of [0, 15, 40, 80, 160, 320].entries()) {
        const agent = await spawnAgent(dataDir, { runtimes });
        const taskId = `killed-${round}`;
        const offer = controller.offer(taskId, [script("c", "sleep 0.3", IMAGE), script("p", "sleep 0.3")], {
          services: [service],
        });
        await offerTask(testBus.bus, testBus.authority.signer, offer);
        await waitFor(
          () => existsSync(join(dataDir, "tasks", taskId)),
          () => `${taskId} was not taken`,
        );
        await systemClock.sleep(delayMs);
        await agent.end("SIGKILL");
      }
      const last = await spawnAgent(dataDir, { runtimes });
      for (let round = 0; round < 6; round += 1) await controller.finished(`killed-${round}`);
      await waitFor(
        async () => (await readdir(join(dataDir, "tasks"))).length === 0,
        () => "tasks are not cleaned up",
      );
      const filters = { label: [`kedge.node=${nodeId}`] };
      expect(await docker.listContainers({ all: true, filters })).toEqual([]);
      expect(await createNetworks(docker).list({ "kedge.node": nodeId })).toEqual([]);
      const processes = createProcessRuntime({ dir: join(dataDir, "processes"), clock: systemClock, logger });
      expect(await processes.list({})).toEqual([]);
      await last.end("SIGTERM");
    } finally {
      await stopNode(dataDir);
      await controller.stop();
    }
  }, 90_000);
});
