import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { followLogs, logLines, pullArtifact } from "@kedge/client";
import { FailureClass, JobState, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { kedge } from "../../setup/kedge.ts";
import { ended, job, jobWhere, outcome, submit } from "../../setup/runs.ts";
import { waitUntil } from "../../setup/wait-for.ts";

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

  it("are downloaded, going on where it was cut short", async () => {
    const run = await ended(cluster, await submit(cluster, { file }));
    const to = join(cluster.folder, "download");
    const target = { runId: run.id, job: "build", name: "dist", folder: to };
    const cut = new AbortController();
    const onProgress = ({ doneBytes }: { readonly doneBytes: number }): void => {
      if (doneBytes > 600_000) cut.abort();
    };
    await expect(pullArtifact(cluster.client, target, { signal: cut.signal, onProgress })).rejects.toThrow();
    await expect(stat(to)).rejects.toMatchObject({ code: "ENOENT" });
    const received: number[] = [];
    await pullArtifact(cluster.client, target, { onProgress: ({ doneBytes }) => received.push(doneBytes) });
    expect(received[0]).toBeGreaterThan(600_000);
    expect((await stat(join(to, "dist/big"))).size).toBe(8_488_896);
    expect(await readlink(join(to, "dist/app"))).toBe("bin/app");
    expect((await readdir(cluster.folder)).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("are seen on the command line", async () => {
    const run = await ended(cluster, await submit(cluster, { file }));
    const call = (...args: string[]) => kedge(cluster.env, ...args);
    const to = join(cluster.folder, "got");
    expect((await call("artifact", "list", run.id)).stdout).toMatch(/build +dist +1 +2 /);
    const got = await call("artifact", "get", run.id, "test", "-o", to);
    expect(got.stdout).toContain("test/tests: 1 files");
    expect(await readFile(join(to, "tests/report.xml"), "utf8")).toContain("adds");
    const caches = JSON.parse((await call("cache", "list", "artifacts", "--json")).stdout);
    expect(caches.entries).toMatchObject([{ scope: "artifacts", paths: ["deps", "~/.tool"], files: 2 }]);
    expect((await call("cache", "delete", "artifacts")).stdout).toContain("deleted 1 caches");
    expect((await call("artifact", "get", run.id, "build/dost")).stderr).toContain("did you mean dist?");
  });

  it("are stored whole though the agent is killed while it sends them", async () => {
    const runId = await submit(cluster, { file: join(import.meta.dirname, "big.yaml") });
    const sending = await jobWhere(cluster, runId, "build", ({ state }) => state === JobState.RUNNING);
    const nodeId = sending.tasks[0]?.nodeId;
    const { agent } =
      ["one", "two"].map((name) => cluster.node(name)).find(({ id }) => id === nodeId) ?? cluster.node("one");
    await waitUntil("the artifact is being sent", async () => {
      const seen = await logOf(cluster, runId);
      return { ok: seen.includes("storing 2 files"), seen };
    });
    await agent.kill("SIGKILL");
    agent.restart();
    const run = await ended(cluster, runId);
    expect(outcome(run)).toBe("SUCCEEDED");
    expect(job(run, "build").tasks).toHaveLength(1);
    expect(job(run, "build").artifacts).toMatchObject([{ name: "big", bytes: 60_000_068n, files: 2 }]);
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
