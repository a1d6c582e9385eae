import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "@kedge/kernel";
import { type TaskEvent, TaskOfferSchema } from "@kedge/proto";
import { createProcessRuntime } from "@kedge/runtime";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LocalFileStore } from "../files/local-file-store.ts";
import { NodeFlags } from "../flags/node-flags.ts";
import { Lease } from "../node/lease.ts";
import { waitFor } from "../testing/agent-fixture.ts";
import { type TaskBus, TaskExecutor } from "./task-executor.ts";
import type { TaskOutcome } from "./task-runner.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kedge-lease-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it("ends running tasks without a report when the lease runs out", async () => {
  const runtime = createProcessRuntime({ dir: join(dir, "processes"), clock: systemClock, logger: silentLogger });
  const events: TaskEvent[] = [];
  const outcomes: TaskOutcome[] = [];
  const store = (event: TaskEvent): Promise<void> => Promise.resolve(void events.push(event));
  const bus: TaskBus = {
    claim: () => Promise.resolve("claimed"),
    publishEvent: store,
    publishLog: () => Promise.resolve(),
  };
  let renewals = 0;
  const lease = new Lease({
    clock: systemClock,
    logger: silentLogger,
    // One renewal, then the controller is gone.
    renew: () => (renewals++ === 0 ? Promise.resolve() : Promise.reject(new Error("cut off"))),
    onRenewed: async () => {},
    onExpired: () => executor.loseAll(),
    lastRenewedAtMs: undefined,
    leaseMs: 500,
    intervalMs: 100,
    retryMs: 50,
  });
  const executor = new TaskExecutor({
    ...{
      nodeId: "n1",
      bootId: "b1",
      tasksDir: join(dir, "tasks"),
      bus,
      lease,
      caPem: "",
      sealKey: new Uint8Array(32),
      keepWorkspaces: false,
    },
    newFileStore: () => new LocalFileStore(join(dir, "files"), "test", systemClock),
    runtimes: {
      process: runtime,
      docker: undefined,
      images: undefined,
      networks: undefined,
      access: undefined,
      gpus: [],
      modelServerEntry: "/dev/null",
    },
    flags: new NodeFlags({ nodeId: "n1", dataDir: dir, logger: silentLogger, bridgeAddress: async () => undefined }),
    clock: systemClock,
    logger: silentLogger,
    onChange: () => {},
    onEnd: (outcome) => outcomes.push(outcome),
  });
  const started = join(dir, "started");
  const ref = { nodeId: "n1", taskId: "lost-1", fence: 1, runId: "r", job: "j" };
  const value = {
    steps: [{ name: "s", action: { case: "run" as const, value: { script: `touch ${started}; sleep 60` } } }],
  };
  const offer = create(TaskOfferSchema, { ref, job: { work: { case: "steps", value } } });
  lease.start();
  await executor.take({ offer, ack: () => Promise.resolve(), nak: () => {}, term: () => {} });
  await waitFor(
    () => existsSync(started),
    () => "not started",
  );
  await waitFor(
    () => outcomes[0],
    () => `still running: ${JSON.stringify(executor.running)}`,
  );
  expect(outcomes).toEqual(["lost"]);
  expect(await runtime.list({})).toEqual([]);
  expect(await readdir(join(dir, "tasks"))).toEqual([]);
  expect(events.some(({ event }) => event.case === "finished")).toBe(false);
  await executor.stop();
  await lease.stop();
});
