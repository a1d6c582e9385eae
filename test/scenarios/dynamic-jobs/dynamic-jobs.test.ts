import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { followLogs, logLines } from "@kedge/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, job, jobStates, outcome, submit } from "../../setup/runs.ts";

const file = join(import.meta.dirname, "kedge.yaml");
const kedge = fileURLToPath(new URL("../../../packages/cli/bin/kedge.mjs", import.meta.url));

describe("a step that adds jobs", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder" }]);
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("has them run in its run, with a token that opens nothing else and that its log does not show", async () => {
    const runId = await submit(cluster, { file, parameters: { node: process.execPath, kedge } });
    const run = await ended(cluster, runId);
    expect(outcome(run)).toBe("SUCCEEDED");
    expect(jobStates(run)).toEqual(
      Object.fromEntries(["plan", "plain", "shard-1", "shard-2", "all"].map((name) => [name, "SUCCEEDED"])),
    );
    expect(job(run, "all").addedBy).toBe("plan");
    const lines: string[] = [];
    for await (const { text } of logLines(followLogs(cluster.client, { runId, job: "plan", follow: false })))
      lines.push(text);
    const log = lines.join("\n");
    expect(log.match(/added shard-1/g)?.length).toBe(2);
    expect(log).toMatch(/PERMISSION_DENIED/);
    expect(log).toMatch(/the token is \S+\./);
    expect(log).not.toMatch(/kedge-(step|task)\./);
  });
});
