import { join } from "node:path";
import { FailureClass, JobState, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, job, jobStates, jobWhere, outcome, submit } from "../../setup/runs.ts";

const file = join(import.meta.dirname, "kedge.yaml");

describe("a job that waits for a person", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder" }]);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  async function blocked(): Promise<string> {
    const runId = await submit(cluster, { file });
    await jobWhere(cluster, runId, "ask", ({ state }) => state === JobState.BLOCKED);
    return runId;
  }

  it("goes on when approved, and says by whom", async () => {
    const runId = await blocked();
    await cluster.client.runs.approveJob({ runId, job: "ask", comment: "fine" });
    const run = await ended(cluster, runId);
    expect(outcome(run)).toBe("SUCCEEDED");
    expect(job(run, "ask").decidedBy).not.toBe("");
  });

  it("ends the run when rejected", async () => {
    const runId = await blocked();
    await cluster.client.runs.rejectJob({ runId, job: "ask", comment: "no" });
    const run = await ended(cluster, runId);
    expect(run.state).toBe(RunState.FAILED);
    expect(jobStates(run)).toEqual({ ask: "FAILED", ship: "SKIPPED" });
    expect(job(run, "ask").failure?.class).toBe(FailureClass.REJECTED);
    await expect(cluster.client.runs.approveJob({ runId, job: "ask" })).rejects.toThrow();
  });
});
