import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FailureClass, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { isAlive } from "../../setup/processes.ts";
import { ended, job, submit } from "../../setup/runs.ts";
import { waitFor, waitUntil } from "../../setup/wait-for.ts";

const file = join(import.meta.dirname, "kedge.yaml");

describe("work that must end", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder" }]);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  /** Ids of the step's shell and of the child it waits for. */
  function workOf(path: string): Promise<number[]> {
    return waitFor("the step runs", async () => ({
      value: (await readFile(path, "utf8")).trim().split(" ").map(Number),
    }));
  }

  async function gone(pids: readonly number[]): Promise<void> {
    await waitUntil("the step's processes are gone", async () => {
      const alive = await Promise.all(pids.map(isAlive));
      return { ok: !alive.includes(true), seen: { pids, alive } };
    });
  }

  it("is ended by its time-out, children included", async () => {
    const pid = join(cluster.folder, "timeout.pid");
    const runId = await submit(cluster, { file, parameters: { pid, timeout: "2s" } });
    const pids = await workOf(pid);
    const run = await ended(cluster, runId);
    expect(run.state).toBe(RunState.FAILED);
    expect(job(run, "stuck").failure?.class).toBe(FailureClass.TIMEOUT);
    await gone(pids);
  });

  it("is ended by a cancel, children included", async () => {
    const pid = join(cluster.folder, "cancel.pid");
    const runId = await submit(cluster, { file, parameters: { pid } });
    const pids = await workOf(pid);
    await cluster.client.runs.cancelRun({ runId, reason: "not needed" });
    const run = await ended(cluster, runId);
    expect(run.state).toBe(RunState.CANCELLED);
    await gone(pids);
  });
});
