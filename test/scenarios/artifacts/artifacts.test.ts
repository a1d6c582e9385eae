import { join } from "node:path";
import { followLogs, logLines } from "@kedge/client";
import { FailureClass, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, job, outcome, submit } from "../../setup/runs.ts";

async function logOf(cluster: Cluster, runId: string): Promise<string> {
  const lines: string[] = [];
  for await (const { text } of logLines(followLogs(cluster.client, { runId, follow: false }))) lines.push(text);
  return lines.join("\n");
}

describe("files of jobs", () => {
  let cluster: Cluster;
  const file = join(import.meta.dirname, "kedge.yaml");

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "one" }, { name: "two" }]);
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("go on to later jobs, to reports and gates, and into the next run's cache", async () => {
    const first = await ended(cluster, await submit(cluster, { file }));
    expect(outcome(first)).toBe("SUCCEEDED");
    const dist = job(first, "build").artifacts[0];
    expect(dist).toMatchObject({ name: "dist", files: 2 });
    expect(job(first, "test").metrics).toMatchObject({ tests: 1, failures: 0, skipped: 0, test_seconds: 0.5 });
    const log = await logOf(cluster, first.id);
    expect(log).toContain("cache miss");
    expect(log).toContain("hello from the app");
    expect(log).toMatch(/"dist\/leak" is a link that leads out.*passed over/);
    const second = await ended(cluster, await submit(cluster, { file }));
    expect(outcome(second)).toBe("SUCCEEDED");
    expect(await logOf(cluster, second.id)).toContain("cache hit: content tool");
    expect(job(second, "build").artifacts[0]?.digest).toBe(dist?.digest);
  });

  it("name the tests that failed in the job's reason", async () => {
    const run = await ended(cluster, await submit(cluster, { file, parameters: { fail: "yes" } }));
    expect(run.state).toBe(RunState.FAILED);
    const test = job(run, "test");
    expect(test.failure).toMatchObject({ class: FailureClass.EXIT_CODE, exitCode: 1 });
    expect(test.reason).toBe("exited with code 1: a.breaks: 1 is not 2");
    expect(test.metrics).toMatchObject({ tests: 2, failures: 1 });
    expect(test.artifacts.map(({ name }) => name)).toEqual(["tests"]);
  });
});
