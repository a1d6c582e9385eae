import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FailureClass, JobState, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { kedge } from "../../setup/kedge.ts";
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

  it("is found and answered on the command line, for the commit that was shown", async () => {
    const { env } = cluster;
    const runId = await submit(cluster, { file, commit: "a".repeat(40) });
    await jobWhere(cluster, runId, "ask", ({ state }) => state === JobState.BLOCKED);
    expect((await kedge(env, "approvals")).stdout).toContain(runId);
    expect((await kedge(env, "approvals", runId)).stdout).toContain(`commit ${"a".repeat(40)}`);
    const wrong = await kedge(env, "run", "approve", runId, "ask", "--commit", "b".repeat(40));
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toContain("COMMIT_MISMATCH");
    const notRun = await kedge(env, "run", "approve", runId);
    expect(notRun.stderr).toMatch(/RUN_NOT_BLOCKED.*its jobs that wait for one: ask/);
    const done = await kedge(env, "run", "approve", runId, "ask", "--comment", "fine", "--json");
    expect(done.code, done.stderr).toBe(0);
    const run = await ended(cluster, runId);
    expect(job(run, "ask").decisions).toMatchObject([{ comment: "fine", commit: "a".repeat(40) }]);
    expect((await kedge(env, "approvals", runId)).stdout).toBe("nothing waits for you\n");
  });

  it("of a run from a fork, begins when somebody says so", async () => {
    const { client, env } = cluster;
    const { run } = await client.runs.submitRun({
      pipeline: { case: "pipelineSource", value: "name: fork\njobs: { a: { steps: [{ run: 'true' }] } }\n" },
      source: { repository: "/nowhere", commit: "a".repeat(40), fork: true, author: "admin" },
    });
    const runId = run?.id ?? "";
    const said = await kedge(env, "run", "approve", runId, "--comment", "read it");
    expect(said.stderr).toContain("from a fork");
    expect(said.code).toBe(0);
    expect(outcome(await ended(cluster, runId))).toBe("SUCCEEDED");
  });

  it("components are pushed, listed and used on the command line", async () => {
    const { env, folder } = cluster;
    const path = join(folder, "hello.yaml");
    const step = `{ run: 'test "$WHO" = me', env: { WHO: "\${{ inputs.who }}" } }`;
    await writeFile(path, `component: hello\ninputs: { who: { type: string } }\nsteps: [${step}]\n`);
    const pushed = await kedge(env, "component", "push", path);
    const use = pushed.stdout.trim();
    expect(use, pushed.stderr).toMatch(/^hello@sha256:[0-9a-f]{64}$/);
    expect((await kedge(env, "component", "list")).stdout).toContain(use);
    const pipeline = join(folder, "uses.yaml");
    await writeFile(pipeline, `name: uses\njobs: { a: { steps: [{ use: "${use}", with: { who: me } }] } }\n`);
    const run = await kedge(env, "run", "submit", "-f", pipeline, "--wait");
    expect(run.code, run.stderr).toBe(0);
  });
});
