import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JobState, TaskState } from "@kedge/proto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, job, jobWhere, outcome, submit } from "../../setup/runs.ts";

const file = join(import.meta.dirname, "kedge.yaml");

let cluster: Cluster;
let cpu: string;

beforeAll(async () => {
  cluster = await Cluster.start([{ name: "builder" }]);
  cpu = `${(await cluster.readyNode("builder")).capacity?.cpuMilli ?? 0}m`;
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

it("a job makes room for one of higher priority, and runs again after it without losing an attempt", async () => {
  const [low, high] = [join(cluster.folder, "low"), join(cluster.folder, "high")];
  const victim = await submit(cluster, { file, parameters: { gate: low, cpu } });
  await jobWhere(cluster, victim, "work", ({ state }) => state === JobState.RUNNING);
  const urgent = await submit(cluster, { file, parameters: { gate: high, cpu, priority: "50" } });
  await jobWhere(cluster, urgent, "work", ({ state }) => state === JobState.RUNNING);
  const waiting = await jobWhere(cluster, victim, "work", ({ state }) => state === JobState.PENDING);
  expect(waiting.tasks.map(({ state, preemptedBy }) => ({ state, preemptedBy }))).toEqual([
    { state: TaskState.PREEMPTED, preemptedBy: `${urgent}/work` },
  ]);
  expect(waiting.reason).toContain(`${urgent}/work`);
  await writeFile(high, "");
  expect(outcome(await ended(cluster, urgent))).toBe("SUCCEEDED");
  await jobWhere(cluster, victim, "work", ({ state }) => state === JobState.RUNNING);
  await writeFile(low, "");
  const run = await ended(cluster, victim);
  expect(outcome(run)).toBe("SUCCEEDED");
  expect(job(run, "work").tasks.map(({ state }) => state)).toEqual([TaskState.PREEMPTED, TaskState.SUCCEEDED]);
});
