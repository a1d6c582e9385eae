import { join } from "node:path";
import { clone, create } from "@bufbuild/protobuf";
import { connectBus, openAuthority } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { JobState, NodeState, type Run, RunSchema, TaskSchema, TaskState } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openStores, startStores } from "./stores.ts";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;
const cleanUps: (() => Promise<void>)[] = [];

beforeEach(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
  agent.script = () => undefined;
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
  await harness.stop();
});

const GPU = "name: p\njobs:\n  work:\n    resources: { gpu: { count: 1 } }\n    steps: [{ name: go, run: 'true' }]\n";
const isRunning = (run: Run) => run.jobs[0]?.state === JobState.RUNNING;
const devicesOf = (run: Run) => run.jobs[0]?.tasks.at(-1)?.gpuIndices;
const running = async () => harness.until((await harness.submit(GPU)).id, isRunning);

async function reportGpus(indices: readonly number[]): Promise<void> {
  const gpus = indices.map((index) => ({ index, uuid: `gpu-${index}`, model: "test", memoryMib: 8192 }));
  agent.capacity = { cpuMilli: 4000, memoryMib: 8192, diskMib: 100_000, gpus };
  const { nodes } = harness;
  await eventually(
    async () => (await nodes.getNode({ nodeId: "n1" })).node?.capacity?.gpus.length,
    (count) => count === indices.length,
  );
}

async function end(run: Run): Promise<void> {
  const ref = agent.offers.findLast((offer) => offer.ref?.runId === run.id)?.ref;
  if (ref !== undefined) await agent.finish(ref, { state: TaskState.SUCCEEDED });
  await harness.until(run.id);
}

/** The documents as another controller writes them. */
async function othersStores() {
  const authority = await openAuthority(join(harness.dir, "authority"), { hosts: [] });
  const credentials = await authority.controllerCredentials();
  const server = { servers: [harness.controller.natsAddress], caPem: authority.caPem, name: "other" };
  const options = { ...server, ...credentials, clock: systemClock, logger: silentLogger };
  const bus = await connectBus(options, new AbortController().signal);
  const abort = new AbortController();
  const stores = openStores(bus, authority.signer);
  await startStores(stores, abort.signal);
  cleanUps.push(async () => {
    abort.abort();
    await bus.close();
  });
  return stores;
}

test("devices are named in offers, never shared, and the same after a restart", async () => {
  await reportGpus([0, 1]);
  const one = await running();
  const two = await running();
  expect([devicesOf(one), devicesOf(two)].flat().sort()).toEqual([0, 1]);
  expect(agent.offers.map(({ gpuIndices }) => gpuIndices)).toEqual([devicesOf(one), devicesOf(two)]);
  await end(one);
  await harness.stopController();
  await harness.startController();
  expect(devicesOf(await running())).toEqual(devicesOf(one));
});

test("what a controller that lost the lease still wrote is taken back where the room was given to others", async () => {
  await reportGpus([0]);
  const holder = await running();
  const { id } = await harness.submit(GPU);
  const { runs } = await othersStores();
  const stored = runs.get(id);
  if (stored === undefined) throw new Error("the run is not stored");
  const late = clone(RunSchema, stored.value);
  const job = late.jobs[0];
  const offeredAt = late.createdAt;
  const task = { id: `${id}-work-1`, nodeId: "n1", fence: 1, state: TaskState.OFFERED, gpuIndices: [0] };
  if (job === undefined || offeredAt === undefined) throw new Error("the run has no job");
  job.state = JobState.OFFERED;
  job.tasks.push(create(TaskSchema, { ...task, offeredAt }));
  await runs.update(id, late, stored.revision);
  // Its own next write about the run is refused: somebody else was faster.
  await expect(runs.update(id, stored.value, stored.revision)).rejects.toMatchObject({ reason: "CONFLICT" });

  const back = await harness.until(id, (run) => run.jobs[0]?.state === JobState.PENDING);
  expect(back.jobs[0]?.tasks.map(({ state }) => state)).toEqual([TaskState.WITHDRAWN]);
  expect(agent.offers.map(({ ref }) => ref?.runId)).toEqual([holder.id]);
  await end(holder);
  const after = await harness.until(id, isRunning);
  expect(devicesOf(after)).toEqual([0]);
});

test("a node that has less than it promised gets nothing more, and offers it cannot keep are taken back", async () => {
  await reportGpus([0, 1]);
  const one = await running();
  agent.claims = false;
  const offered = await harness.until((await harness.submit(GPU)).id, (run) => run.jobs[0]?.state === JobState.OFFERED);
  await reportGpus(devicesOf(one)?.map(Number) ?? []);
  const back = await harness.until(offered.id, (run) => run.jobs[0]?.state === JobState.PENDING);
  expect(back.jobs[0]?.tasks.map(({ state }) => state)).toEqual([TaskState.WITHDRAWN]);
  agent.claims = true;
  expect((await harness.run(one.id)).jobs[0]?.state).toBe(JobState.RUNNING);
  await end(one);
  const after = await harness.until(offered.id, isRunning);
  expect(devicesOf(after)).toEqual(devicesOf(one));
});

test("a node that vanishes and returns still has what runs there", async () => {
  await reportGpus([0, 1]);
  const one = await running();
  agent.beats = false;
  harness.clock.skip(11_000);
  const { nodes } = harness;
  const state = async () => (await nodes.getNode({ nodeId: "n1" })).node?.state;
  await eventually(state, (seen) => seen === NodeState.LOST);
  await eventually(
    () => harness.scheduling.planDemand({}),
    ({ placements }) => placements[0]?.chosenNodeId === "",
  );
  const runs = [await harness.submit(GPU), await harness.submit(GPU)];
  expect((await harness.run(runs[0]?.id ?? "")).jobs[0]?.state).toBe(JobState.PENDING);
  agent.beats = true;
  await eventually(state, (seen) => seen === NodeState.READY);
  const [first, second] = runs;
  const placed = await harness.until(first?.id ?? "", isRunning);
  expect(devicesOf(placed)).not.toEqual(devicesOf(one));
  expect((await harness.run(second?.id ?? "")).jobs[0]?.state).toBe(JobState.PENDING);
  await end(one);
  expect(devicesOf(await harness.until(second?.id ?? "", isRunning))).toEqual(devicesOf(one));
});
