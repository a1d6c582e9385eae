import { create } from "@bufbuild/protobuf";
import { FailureClass, FailureSchema, JobState, RunService, RunState, StepStatusSchema, TaskState } from "@kedge/proto";
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

const pipeline = (jobs: string) => `name: p\njobs:\n${jobs}`;
const failure = (kind: FailureClass, message: string) => create(FailureSchema, { class: kind, message });
const STEP = "  work:\n    steps: [{ name: go, run: 'true' }]\n";

test("a run whose jobs succeed succeeds, and its gate sees the metrics", async () => {
  agent.script = () => ({ state: TaskState.SUCCEEDED, metrics: { accuracy: 0.95 }, outputs: { version: "3" } });
  const gate = "  gate:\n    needs: [work]\n    gate: [{ metric: accuracy, at-least: 0.9 }]\n";
  const run = await harness.until((await harness.submit(pipeline(STEP + gate))).id);
  expect(run.state).toBe(RunState.SUCCEEDED);
  expect(run.jobs[1]?.gateResults[0]).toMatchObject({ passed: true, value: 0.95 });
});

test("a gate that fails fails the run and says what it saw", async () => {
  agent.script = () => ({ state: TaskState.SUCCEEDED, metrics: { accuracy: 0.5 } });
  const gate = "  gate:\n    needs: [work]\n    gate: [{ metric: accuracy, at-least: 0.9 }]\n";
  const run = await harness.until((await harness.submit(pipeline(STEP + gate))).id);
  expect(run).toMatchObject({ state: RunState.FAILED, reason: "gate: accuracy 0.5 is not at least 0.9" });
});

test("a step that fails is not tried again", async () => {
  agent.script = () => ({
    state: TaskState.FAILED,
    failure: failure(FailureClass.EXIT_CODE, "exit 3"),
  });
  const run = await harness.until((await harness.submit(pipeline(STEP))).id);
  expect(run).toMatchObject({ state: RunState.FAILED, reason: "work: exit 3" });
  expect(run.jobs[0]?.tasks).toHaveLength(1);
});

test("a node that could not do its part is tried again, three times in all", async () => {
  agent.script = () => ({
    state: TaskState.FAILED,
    failure: failure(FailureClass.INFRASTRUCTURE, "no image"),
  });
  const run = await harness.until((await harness.submit(pipeline(STEP))).id);
  expect(run).toMatchObject({ state: RunState.FAILED, reason: "work: no image" });
  expect(run.jobs[0]?.tasks.map((task) => task.fence)).toEqual([1, 2, 3]);
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  await harness.runs.retryRun({ runId: run.id });
  const retried = await harness.until(run.id);
  expect(retried.state).toBe(RunState.SUCCEEDED);
  expect(retried.jobs[0]?.tasks.at(-1)?.fence).toBe(4);
});

test("a job that refers to an output nobody reported fails with the reason, at once", async () => {
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  const version = `$\{{ jobs.work.outputs.version }}`;
  const next = `  next:\n    needs: [work]\n    steps: [{ name: go, run: 'echo ${version}' }]\n`;
  const run = await harness.until((await harness.submit(pipeline(STEP + next))).id);
  expect(run.state).toBe(RunState.FAILED);
  expect(run.jobs[1]).toMatchObject({ state: JobState.FAILED, tasks: [] });
  expect(run.jobs[1]?.reason).toContain("did not report outputs.version");
});

test("outputs beyond the limit fail the job, not the controller", async () => {
  agent.script = () => ({ state: TaskState.SUCCEEDED, outputs: { big: "x".repeat(200_000) } });
  const run = await harness.until((await harness.submit(pipeline(STEP))).id);
  expect(run).toMatchObject({ state: RunState.FAILED, reason: "work: its outputs and metrics exceed 65536 bytes" });
});

test("cancelling ends running, waiting and blocked jobs", async () => {
  agent.script = () => undefined;
  const more = "  next:\n    needs: [work]\n    steps: [{ run: 'true' }]\n  ok:\n    approval: { message: Ship it? }\n";
  const { id } = await harness.submit(pipeline(STEP + more));
  await harness.until(id, (run) =>
    [JobState.RUNNING, JobState.BLOCKED, JobState.WAITING].every((state) =>
      run.jobs.some((job) => job.state === state),
    ),
  );
  await harness.runs.cancelRun({ runId: id, reason: "not now" });
  const run = await harness.until(id);
  expect(run).toMatchObject({ state: RunState.CANCELLED, reason: "not now" });
  expect(run.jobs.map((job) => job.state)).toEqual([JobState.CANCELLED, JobState.CANCELLED, JobState.CANCELLED]);
  await expect(harness.runs.cancelRun({ runId: id })).rejects.toMatchObject({ reason: "RUN_FINISHED" });
});

test("an offer nobody claims is taken back by a cancel", async () => {
  agent.claims = false;
  const { id } = await harness.submit(pipeline(STEP));
  await harness.until(id, (run) => run.jobs[0]?.state === JobState.OFFERED);
  await harness.runs.cancelRun({ runId: id });
  const run = await harness.until(id);
  expect(run.jobs[0]?.tasks.map((task) => task.state)).toEqual([TaskState.WITHDRAWN]);
  agent.claims = true;
});

test("an approval waits for a person, and only once", async () => {
  const { id } = await harness.submit(pipeline("  ok:\n    approval: { message: Ship it? }\n"));
  await harness.until(id, (run) => run.jobs[0]?.state === JobState.BLOCKED);
  await harness.runs.approveJob({ runId: id, job: "ok", comment: "fine" });
  const run = await harness.until(id);
  expect(run.jobs[0]).toMatchObject({ decidedBy: "admin", reason: "approved by admin: fine" });
  await expect(harness.runs.rejectJob({ runId: id, job: "ok" })).rejects.toMatchObject({ reason: "JOB_NOT_BLOCKED" });
});

test("a node's word about another node's task changes nothing", async () => {
  const liar = await harness.agent("liar");
  liar.claims = false;
  await harness.nodes.cordonNode({ nodeId: "liar" });
  agent.script = () => undefined;
  const { id } = await harness.submit(pipeline(STEP));
  const offer = await eventually(
    () => agent.offers.at(-1),
    (seen) => seen?.ref?.runId === id,
  );
  const ref = offer?.ref;
  if (ref === undefined) throw new Error("no offer");
  // Under the task's own subject the server refuses; under the liar's, the controller does.
  await liar.finish({ ...ref, nodeId: "liar" }, { state: TaskState.SUCCEEDED });
  await agent.finish({ ...ref, fence: 9 }, { state: TaskState.FAILED });
  await agent.publish(ref, {
    case: "step",
    value: create(StepStatusSchema, { name: "no-such-step", state: JobState.SUCCEEDED }),
  });
  await agent.finish(ref, { state: TaskState.LOST });
  await agent.finish(ref, { state: TaskState.SUCCEEDED });
  const run = await harness.until(id);
  expect(run.state).toBe(RunState.SUCCEEDED);
  expect(run.jobs[0]?.steps).toEqual([]);
});

test("the same idempotency key gives the same run, also at once and after a restart", async () => {
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  const request = { pipeline: { case: "pipelineSource", value: pipeline(STEP) }, idempotencyKey: "__proto__" } as const;
  const client = harness.runs;
  const [a, b] = await Promise.all([client.submitRun(request), client.submitRun(request)]);
  expect(b.run?.id).toBe(a.run?.id);
  await harness.until(a.run?.id ?? "");
  await harness.stopController();
  await harness.startController();
  const c = await harness.client(RunService).submitRun(request);
  expect(c.run?.id).toBe(a.run?.id);
});

test("a job that no node could ever take is refused with what is short", async () => {
  harness.clock.skip(11_000);
  const source = pipeline("  big:\n    resources: { cpu: 64 }\n    steps: [{ run: 'true' }]\n");
  const { pipelines, runs } = harness;
  // Until the node has reported to the restarted controller, "ever" cannot be said.
  await eventually(
    () => harness.nodes.getNode({ nodeId: "n1" }),
    ({ node }) => node?.state === 1,
  );
  const error = await runs.submitRun({ pipeline: { case: "pipelineSource", value: source } }).catch((e: unknown) => e);
  expect(error).toMatchObject({ reason: "JOB_IMPOSSIBLE", field: "jobs.big" });
  expect(String(error)).toContain("cpu");
  const near = await pipelines.getPipeline({ name: "constructor" }).catch((e: unknown) => e);
  expect(near).toMatchObject({ reason: "PIPELINE_NOT_FOUND" });
});
