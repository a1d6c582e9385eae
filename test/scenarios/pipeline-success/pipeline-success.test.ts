import { join } from "node:path";
import { followLogs, logLines } from "@kedge/client";
import { FailureClass, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { makeRepository } from "../../setup/git-repository.ts";
import { ended, job, jobStates, outcome, submit } from "../../setup/runs.ts";

const file = join(import.meta.dirname, "kedge.yaml");

describe("a pipeline over a git repository", () => {
  let cluster: Cluster;
  let repository: string;
  let commit: string;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder", labels: { role: "build" } }]);
    repository = join(cluster.folder, "repository");
    commit = await makeRepository(join(import.meta.dirname, "project"), repository);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("runs to its end; the log is followed live, whole and in order", async () => {
    const runId = await submit(cluster, { file, repository, commit });
    const lines: string[] = [];
    let live = false;
    for await (const line of logLines(followLogs(cluster.client, { runId, job: "train" }))) {
      if (!line.text.startsWith("line ")) continue;
      lines.push(line.text);
      if (lines.length === 1) {
        const { run } = await cluster.client.runs.getRun({ runId });
        live = run?.state === RunState.RUNNING;
      }
    }
    expect(live, "the first line came while the run was under way").toBe(true);
    expect(lines).toEqual(Array.from({ length: 40 }, (_, index) => `line ${index + 1}`));

    const run = await ended(cluster, runId);
    expect(outcome(run)).toBe("SUCCEEDED");
    expect(job(run, "train").metrics).toEqual({ accuracy: 0.95 });
    expect(job(run, "quality").gateResults.map(({ passed, value }) => ({ passed, value }))).toEqual([
      { passed: true, value: 0.95 },
    ]);
    expect(job(run, "publish").outputs).toMatchObject({ GREETING: `model-seven at ${commit}` });
    expect(run.jobs.every(({ tasks }) => tasks.length <= 1)).toBe(true);
  });

  it("stops at a gate that does not hold", async () => {
    const run = await ended(
      cluster,
      await submit(cluster, { file, repository, commit, parameters: { least: "0.99" } }),
    );
    expect(run.state).toBe(RunState.FAILED);
    expect(jobStates(run)).toEqual({ train: "SUCCEEDED", quality: "FAILED", publish: "SKIPPED" });
    expect(job(run, "quality").failure?.class).toBe(FailureClass.GATE);
  });
});
