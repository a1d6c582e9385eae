import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JobState, type PlacementExplanation } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, jobWhere, outcome, submit } from "../../setup/runs.ts";

const file = join(import.meta.dirname, "kedge.yaml");

/** All that an explanation says, as text. */
function said(explanation: PlacementExplanation | undefined): string {
  return JSON.stringify(explanation, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

describe("a job that no node has room for", () => {
  let cluster: Cluster;
  let milli: number;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder", labels: { role: "build" } }]);
    milli = (await cluster.readyNode("builder")).capacity?.cpuMilli ?? 0;
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("waits, says for what, and runs when there is room", async () => {
    const [first, second] = [join(cluster.folder, "first"), join(cluster.folder, "second")];
    const cpu = `${milli}m`;
    const before = await submit(cluster, { file, parameters: { gate: first, cpu } });
    await jobWhere(cluster, before, "big", ({ state }) => state === JobState.RUNNING);
    const after = await submit(cluster, { file, parameters: { gate: second, cpu } });
    const waiting = await jobWhere(
      cluster,
      after,
      "big",
      (job) => job.state === JobState.PENDING && job.pending !== undefined,
    );
    expect(said(waiting.pending)).toContain("cpu");
    await writeFile(first, "");
    expect(outcome(await ended(cluster, before))).toBe("SUCCEEDED");
    await jobWhere(cluster, after, "big", ({ state }) => state === JobState.RUNNING);
    await writeFile(second, "");
    expect(outcome(await ended(cluster, after))).toBe("SUCCEEDED");
  });

  it("is refused at once when no node could ever have room, naming the dimension", async () => {
    const parameters = { gate: "/nowhere", cpu: `${milli + 1000}m` };
    await expect(submit(cluster, { file, parameters })).rejects.toMatchObject({
      reason: "JOB_IMPOSSIBLE",
      message: expect.stringContaining("cpu"),
    });
  });
});
