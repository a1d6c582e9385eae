import { FailureClass, JobState, NodeService, NodeState, Role, RunService, RunState, TaskState } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

const WORK = "name: p\njobs:\n  work:\n    steps: [{ name: go, run: 'true' }]\n";
const attemptsOf = (runId: string) => agent.offers.filter(({ ref }) => ref?.runId === runId).length;
const running = async () => {
  agent.script = () => undefined;
  const { id } = await harness.submit(WORK);
  await harness.until(id, (run) => run.jobs[0]?.tasks[0]?.state === TaskState.RUNNING);
  const ref = agent.offers.at(-1)?.ref;
  if (ref === undefined) throw new Error("no offer was taken");
  return { id, ref };
};

test("a second controller on the same folder is refused and harms nothing", async () => {
  await expect(harness.startSecond()).rejects.toMatchObject({ reason: "INVALID_OPTION", field: "dataDir" });
  expect((await harness.tokens.whoAmI({})).name).toBe("admin");
});

test("a task that ends after the controller came back counts, and runs once", async () => {
  const { id, ref } = await running();
  await harness.stopController();
  await harness.startController();
  await eventually(() => agent.finish(ref, { state: TaskState.SUCCEEDED }).then(() => true), Boolean);
  expect((await harness.until(id)).state).toBe(RunState.SUCCEEDED);
  expect(attemptsOf(id)).toBe(1);
});

test("a task that ended unread before its lease ran out is not made again", async () => {
  const { id, ref } = await running();
  await harness.stopController({ keepNats: true });
  await agent.finish(ref, { state: TaskState.SUCCEEDED });
  agent.beats = false;
  harness.clock.skip(36_000);
  await harness.startController();
  const run = await harness.until(id);
  expect(run.state).toBe(RunState.SUCCEEDED);
  expect(run.jobs[0]?.tasks).toHaveLength(1);
  agent.beats = true;
});

test("after NATS was killed everything goes on by itself", async () => {
  const { id, ref } = await running();
  const client = harness.runs;
  process.kill(harness.controller.natsPid(), "SIGKILL");
  await eventually(() => agent.finish(ref, { state: TaskState.SUCCEEDED }).then(() => true), Boolean);
  expect((await harness.until(id)).state).toBe(RunState.SUCCEEDED);
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  const again = await eventually(
    () => client.submitRun({ pipeline: { case: "pipelineSource", value: WORK } }),
    ({ run }) => run !== undefined,
  );
  expect((await harness.until(again.run?.id ?? "")).state).toBe(RunState.SUCCEEDED);
});

test("the tasks of a node whose lease has run out are given to another", async () => {
  const { id } = await running();
  const other = await harness.agent("n2");
  agent.beats = false;
  agent.claims = false;
  harness.clock.skip(36_000);
  const run = await harness.until(id);
  expect(run.state).toBe(RunState.SUCCEEDED);
  expect(run.jobs[0]?.tasks.map(({ nodeId, state }) => [nodeId, state])).toEqual([
    ["n1", TaskState.LOST],
    ["n2", TaskState.SUCCEEDED],
  ]);
  expect(run.jobs[0]?.tasks[0]?.failure?.class).toBe(FailureClass.LOST_AGENT);
  expect(other.offers).toHaveLength(1);
  await harness.nodes.removeNode({ nodeId: "n2" });
  agent.beats = true;
  agent.claims = true;
  await eventually(
    () => harness.nodes.getNode({ nodeId: "n1" }),
    ({ node }) => node?.state === NodeState.READY,
  );
});

test("roles: a viewer reads, a stranger does nothing, and a task's token dies with the task", async () => {
  const { id, ref } = await running();
  const { token } = await harness.tokens.createToken({ name: "eye", role: Role.VIEWER });
  const viewer = harness.client(RunService, token);
  expect((await viewer.getRun({ runId: id })).run?.id).toBe(id);
  await expect(viewer.cancelRun({ runId: id })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  await expect(harness.client(RunService, "kedge_0123456789abcdef_x").getRun({ runId: id })).rejects.toMatchObject({
    reason: "UNAUTHENTICATED",
  });
  const taskToken = agent.offers.at(-1)?.runToken ?? "";
  const asTask = harness.client(RunService, taskToken);
  await expect(asTask.getRun({ runId: id })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  await agent.finish(ref, { state: TaskState.SUCCEEDED });
  await harness.until(id);
  await expect(asTask.getRun({ runId: id })).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
});

test("a held job is retried by a person while its run goes on", async () => {
  const fragile = await harness.agent("fragile");
  fragile.script = () => undefined;
  await harness.nodes.cordonNode({ nodeId: "n1" });
  const { id } = await harness.submit(WORK.replace("    steps", "    retry: { on-lost: hold }\n    steps"));
  await harness.until(id, (run) => run.jobs[0]?.state === JobState.RUNNING);
  await harness.nodes.removeNode({ nodeId: "fragile" });
  harness.clock.skip(36_000);
  await harness.until(id, (run) => run.jobs[0]?.state === JobState.HELD);
  await harness.runs.retryRun({ runId: id });
  await harness.until(id, (run) => run.jobs[0]?.state !== JobState.HELD);
  await harness.runs.cancelRun({ runId: id });
  expect((await harness.until(id)).state).toBe(RunState.CANCELLED);
  await harness.nodes.uncordonNode({ nodeId: "n1" });
});

test("a node that was removed is cut off, and its name is free", async () => {
  const gone = await harness.agent("gone");
  await harness.nodes.removeNode({ nodeId: "gone" });
  await eventually(
    () => gone.bus.connected,
    (connected) => !connected,
  );
  await expect(harness.client(NodeService).getNode({ nodeId: "gone" })).rejects.toMatchObject({
    reason: "NODE_NOT_FOUND",
  });
  await harness.agent("gone");
  await harness.nodes.cordonNode({ nodeId: "gone" });
});

test("a task that ends while the controller is away, with NATS left running, counts, and runs once", async () => {
  const { id, ref } = await running();
  await harness.stopController({ keepNats: true });
  await agent.finish(ref, { state: TaskState.SUCCEEDED });
  await harness.startController();
  expect((await harness.until(id)).state).toBe(RunState.SUCCEEDED);
  expect(attemptsOf(id)).toBe(1);
});
