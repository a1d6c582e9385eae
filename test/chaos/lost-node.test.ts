import { TaskState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../setup/cluster.ts";
import { job, jobWhere, outcome } from "../setup/runs.ts";
import { waitFor } from "../setup/wait-for.ts";
import { HeldWork } from "./work.ts";

/** The lease of 30 s, the margin of 5 s, and time for a loaded machine. */
const GIVEN_AWAY_MS = 75_000;

describe("a node that is lost for good", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start(["one", "two"].map((name) => ({ name, labels: { role: "build" } })));
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("has its job given to another node after the lease; the job is completed once", async () => {
    const work = await HeldWork.start(cluster, "lost");
    const first = (await jobWhere(cluster, work.runId, "work", ({ tasks }) => tasks.length === 1)).tasks[0];
    const names = ["one", "two"];
    const lost = names.find((name) => cluster.node(name).id === first?.nodeId);
    if (lost === undefined) throw new Error(`no node ${first?.nodeId}`);
    await cluster.node(lost).agent.kill("SIGKILL");

    await waitFor(
      "the job is given away",
      async () => {
        const seen = await work.effects();
        return seen.filter((line) => line === "two").length === 2 ? { value: seen } : { instead: seen };
      },
      GIVEN_AWAY_MS,
    );
    const run = await work.finish();
    expect(outcome(run)).toBe("SUCCEEDED");
    const { tasks } = job(run, "work");
    expect(tasks.map(({ state }) => state)).toEqual([TaskState.LOST, TaskState.SUCCEEDED]);
    expect(tasks[1]?.nodeId).not.toBe(first?.nodeId);
    expect(await work.effects()).toEqual(["one", "two", "one", "two", "three", "four"]);
  });
});
