import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JobState } from "@kedge/proto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, jobWhere, outcome, submit } from "../../setup/runs.ts";

const file = join(import.meta.dirname, "kedge.yaml");
const blocker = join(import.meta.dirname, "../preemption/kedge.yaml");

let cluster: Cluster;
let milli: number;

beforeAll(async () => {
  cluster = await Cluster.start([{ name: "left" }, { name: "right" }]);
  milli = (await cluster.readyNode("left")).capacity?.cpuMilli ?? 0;
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

it("members start together on two nodes, and not while there is room for one of them only", async () => {
  const [gate, folder] = [join(cluster.folder, "gate"), join(cluster.folder, "meeting")];
  await mkdir(folder);
  const busy = await submit(cluster, { file: blocker, parameters: { gate, cpu: `${milli}m` } });
  await jobWhere(cluster, busy, "work", ({ state }) => state === JobState.RUNNING);
  const gang = await submit(cluster, { file, parameters: { folder, cpu: `${milli}m` } });
  const waiting = await jobWhere(cluster, gang, "right", ({ pending }) => pending?.heldBack !== undefined);
  expect(waiting).toMatchObject({ state: JobState.PENDING, tasks: [] });
  expect(await readdir(folder)).toEqual([]);
  await writeFile(gate, "");
  // Each member waits for the other: alone none would ever end.
  expect(outcome(await ended(cluster, gang))).toBe("SUCCEEDED");
  expect(await readdir(folder)).toHaveLength(2);
});
