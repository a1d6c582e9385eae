import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  AlertService,
  FailureClass,
  JobState,
  type Run,
  RunService,
  RunState,
  SourceEvent,
  type TaskOffer,
  TaskState,
} from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

const COMMIT = "a".repeat(40);
const STEPS = "{ steps: [{ run: 'true' }] }";

const apply = (source: string) => harness.pipelines.applyPipeline({ source });
const calls = (name: string, pipeline: string, more = "") =>
  `name: ${name}\njobs:\n  go: { call: { pipeline: ${pipeline}${more} } }\n`;

async function submit(source: string): Promise<Run> {
  const { run } = await harness.runs.submitRun({
    pipeline: { case: "pipelineSource", value: source },
    source: { repository: "/r", commit: COMMIT, branch: "main" },
    labels: { why: "test" },
  });
  if (run === undefined) throw new Error("no run came back");
  return run;
}

/** The run that the job called `go` calls, once it is there. */
async function calledBy(run: Run): Promise<Run> {
  const { jobs } = await harness.until(run.id, ({ jobs: [job] }) => job?.calledRunId !== "");
  return harness.until(jobs[0]?.calledRunId ?? "", () => true);
}

test("a call runs another pipeline of the same source with its parameters, and ends as it does", async () => {
  await apply(
    `name: part\nparameters: { x: { type: string } }\njobs:\n  a: { env: { X: "\${{ params.x }}" }, steps: [{ run: "true" }] }\n`,
  );
  const run = await submit(`name: whole
jobs:
  first: { steps: [{ run: "true" }] }
  go: { needs: [first], call: { pipeline: part, parameters: { x: "v-\${{ jobs.first.outputs.v }}" } } }
  last: { needs: [go], steps: [{ run: "true" }] }
`);
  agent.script = () => ({ state: TaskState.SUCCEEDED, outputs: { v: "7" } });
  const ended = await harness.until(run.id);
  expect(ended.state).toBe(RunState.SUCCEEDED);
  const called = await harness.run(ended.jobs[1]?.calledRunId ?? "");
  expect(called).toMatchObject({
    ...{ pipeline: "part", calledBy: `${run.id}/go`, submittedBy: "admin", labels: { why: "test" } },
    parameters: { x: "v-7" },
    source: { commit: COMMIT, branch: "main", event: SourceEvent.CALL },
    state: RunState.SUCCEEDED,
  });
  expect(ended.jobs[1]?.reason).toBe(`run ${called.id} succeeded`);
});

test("a call fails as the called run does", async () => {
  await apply(`name: broken\njobs:\n  a: { steps: [{ run: "false" }], retry: { attempts: 1 } }\n`);
  agent.script = () => ({
    state: TaskState.FAILED,
    failure: { class: FailureClass.EXIT_CODE, exitCode: 3, message: "exit 3" },
  });
  const ended = await harness.until((await submit(calls("outer", "broken"))).id);
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  expect(ended.state).toBe(RunState.FAILED);
  expect(ended.jobs[0]?.failure?.class).toBe(FailureClass.EXIT_CODE);
  expect(ended.jobs[0]?.reason).toMatch(/^run .* failed: a: exit 3$/);
  // A retry calls once more, under another id.
  await harness.runs.retryRun({ runId: ended.id });
  const again = await harness.until(ended.id);
  expect(again.state).toBe(RunState.SUCCEEDED);
  expect(again.jobs[0]?.calledRunId).not.toBe(ended.jobs[0]?.calledRunId);
});

test("a cancel reaches what was called, and waits for its end", async () => {
  await apply(`name: slow\njobs:\n  a: ${STEPS}\n`);
  await apply(calls("middle", "slow"));
  agent.script = () => undefined;
  const run = await submit(calls("outer", "middle"));
  const middle = await calledBy(run);
  const inner = await calledBy(middle);
  await harness.until(inner.id, ({ jobs }) => jobs[0]?.state === JobState.RUNNING);
  await harness.runs.cancelRun({ runId: run.id, reason: "enough" });
  const ends = await Promise.all([run, middle, inner].map(({ id }) => harness.until(id)));
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  expect(ends.map(({ state }) => state)).toEqual([RunState.CANCELLED, RunState.CANCELLED, RunState.CANCELLED]);
  expect(ends[2]?.reason).toMatch(/has to end: .*enough/);
});

test("where a matrix is fail-fast, a call that fails ends what the others called", async () => {
  await apply(`name: cell
parameters: { n: { type: string } }
jobs:
  a: { env: { N: "\${{ params.n }}" }, retry: { attempts: 1 }, steps: [{ run: "true" }] }
`);
  const failure = { class: FailureClass.EXIT_CODE, message: "exit 1", exitCode: 1 };
  agent.script = ({ job }) => (job?.env["N"] === "bad" ? { state: TaskState.FAILED, failure } : undefined);
  const run = await submit(`name: cells
jobs:
  go: { fail-fast: true, matrix: { n: [good, bad] }, call: { pipeline: cell, parameters: { n: "\${{ matrix.n }}" } } }
`);
  const ended = await harness.until(run.id);
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  expect(ended.jobs.map(({ state }) => state)).toEqual([JobState.CANCELLED, JobState.FAILED]);
  const called = await harness.run(ended.jobs[0]?.calledRunId ?? "");
  expect(called).toMatchObject({ state: RunState.CANCELLED, reason: expect.stringContaining("fail-fast") });
});

test("a detached call does not wait, and a cancel of the caller leaves it alone", async () => {
  await apply(`name: alone\njobs:\n  ask: { approval: { message: "ok?" } }\n`);
  const run = await submit(calls("outer", "alone", ", detach: true"));
  const ended = await harness.until(run.id);
  expect(ended.state).toBe(RunState.SUCCEEDED);
  const called = await harness.run(ended.jobs[0]?.calledRunId ?? "");
  expect(called.state).not.toBe(RunState.CANCELLED);
  await harness.runs.cancelRun({ runId: called.id });
});

test("what goes round in a circle, is not there or cannot be compiled fails its job, and says why", async () => {
  await apply(calls("ping", "pong"));
  await apply(calls("pong", "ping"));
  await apply(
    `name: picky\nparameters: { x: { type: number } }\njobs:\n  a: { env: { X: "\${{ params.x }}" }, steps: [{ run: "true" }] }\n`,
  );
  const reasonOf = async (source: string) => (await harness.until((await submit(source)).id)).reason;
  expect(await reasonOf(calls("ping", "pong"))).toMatch(/circle: ping -> pong -> ping/);
  expect(await reasonOf(calls("me", "me"))).toMatch(/circle: me -> me/);
  expect(await reasonOf(calls("outer", "pingg"))).toMatch(/no pipeline is called "pingg"/);
  expect(await reasonOf(calls("outer", "picky"))).toMatch(/x/);
});

test("calls are at most eight deep", async () => {
  for (let i = 1; i <= 9; i++) await apply(i === 9 ? `name: d9\njobs:\n  a: ${STEPS}\n` : calls(`d${i}`, `d${i + 1}`));
  const ended = await harness.until((await submit(calls("d0", "d2"))).id);
  expect(ended.state).toBe(RunState.SUCCEEDED);
  const deep = await harness.until((await submit(calls("d0", "d1"))).id);
  expect(deep.reason).toMatch(/at most 8 deep/);
}, 30_000);

test("a fork's call begins with the word that let the caller begin, and no earlier", async () => {
  await apply(`name: part2\njobs:\n  a: ${STEPS}\n`);
  const { run } = await harness.runs.submitRun({
    pipeline: { case: "pipelineSource", value: calls("outer", "part2") },
    source: { repository: "/r", commit: COMMIT, fork: true },
  });
  const runId = run?.id ?? "";
  expect((await harness.run(runId)).jobs[0]?.calledRunId).toBe("");
  await harness.runs.approveRun({ runId });
  const ended = await harness.until(runId);
  expect(ended.state).toBe(RunState.SUCCEEDED);
  expect(await harness.run(ended.jobs[0]?.calledRunId ?? "")).toMatchObject({
    source: { fork: true },
    decision: { approved: true, commit: COMMIT },
  });
});

test("a controller that starts anew waits for what was called, and calls nothing twice", async () => {
  await apply(`name: asks\njobs:\n  ask: { approval: { message: "ok?" } }\n`);
  const run = await submit(calls("outer", "asks"));
  const called = await calledBy(run);
  await harness.stopController();
  await harness.startController();
  await harness.until(called.id, ({ jobs }) => jobs[0]?.state === JobState.BLOCKED);
  await harness.runs.approveJob({ runId: called.id, job: "ask" });
  expect((await harness.until(run.id)).state).toBe(RunState.SUCCEEDED);
  const { runs } = await harness.runs.listRuns({ pipeline: "asks" });
  expect(runs.map(({ id }) => id)).toEqual([called.id]);
}, 60_000);

interface Receiver {
  readonly server: Server;
  readonly url: string;
  readonly requests: { readonly headers: NodeJS.Dict<string | string[]>; readonly body: string }[];
  status: number;
}

async function receiver(): Promise<Receiver> {
  const made: Omit<Receiver, "server" | "url"> = { requests: [], status: 200 };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    made.requests.push({ headers: request.headers, body });
    response.writeHead(world.status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const world: Receiver = Object.assign(made, {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
  });
  return world;
}

test("a notice reaches its receiver with hostile text as text, and is tried again under the same id", async () => {
  const world = await receiver();
  const receivers = [
    { name: "hook", allowPrivate: true, kind: { case: "webhook" as const, value: { url: world.url } } },
    { name: "chat", allowPrivate: true, kind: { case: "slack" as const, value: { url: world.url } } },
  ];
  await harness.client(AlertService).setAlertPolicy({ policy: { receivers } });
  agent.script = () => ({ state: TaskState.SUCCEEDED, outputs: { v: "<!channel> *x* \u202e[a](http://evil)" } });
  const source = (to: string) => `name: says\njobs:
  a: ${STEPS}
  say: { needs: [a], notify: { receiver: ${to}, message: "got \${{ jobs.a.outputs.v }}" } }\n`;
  world.status = 503;
  const { id } = await submit(source("hook"));
  const waiting = await harness.until(id, ({ jobs }) => (jobs[1]?.told ?? 0) > 0);
  expect(waiting.jobs[1]).toMatchObject({ state: JobState.RUNNING, tasks: [] });
  expect(waiting.jobs[1]?.reason).toMatch(/^hook: .*503.*tried again/);
  world.status = 204;
  const run = await harness.until(id);
  expect(run.jobs[1]).toMatchObject({ state: JobState.SUCCEEDED, reason: "told hook", told: 2 });
  const ids = world.requests.map(({ headers }) => headers["webhook-id"]);
  expect(ids).toEqual([ids[0], ids[0]]);
  const told = JSON.parse(world.requests[1]?.body ?? "");
  expect(told).toMatchObject({ type: "run.notice", data: { run: id, pipeline: "says", job: "say", commit: COMMIT } });
  expect(told.data.message).not.toContain("\u202e");
  await harness.until((await submit(source("chat"))).id);
  expect(world.requests.at(-1)?.body).not.toMatch(/<!|\*x\*|:\/\/evil/);
  const missing = await harness.until((await submit(source("nobody"))).id);
  expect(missing.jobs[1]?.failure).toMatchObject({ class: FailureClass.INVALID });
  await new Promise((resolve) => world.server.close(resolve));
}, 30_000);

test("a receiver that never takes it fails the job as the infrastructure's fault", async () => {
  const value = { url: "http://127.0.0.1:9/" };
  const receivers = [{ name: "dead", allowPrivate: true, kind: { case: "webhook" as const, value } }];
  await harness.client(AlertService).setAlertPolicy({ policy: { receivers } });
  const run = await submit("name: says\njobs:\n  say: { notify: { receiver: dead, message: hello } }\n");
  const ended = await harness.until(run.id);
  expect(ended.jobs[0]).toMatchObject({ told: 3, failure: { class: FailureClass.INFRASTRUCTURE } });
}, 40_000);

/** Jobs that a step adds while its offer is at hand. */
async function adding(maxJobs: number, more = ""): Promise<{ readonly run: Run; readonly offer: TaskOffer }> {
  agent.script = (offer) => (offer.job?.name === "plan" ? undefined : { state: TaskState.SUCCEEDED });
  const run = await submit(
    `name: dynamic\njobs:\n  plan: { adds-jobs: ${maxJobs}${more}, steps: [{ run: "true" }] }\n`,
  );
  await harness.until(run.id, ({ jobs }) => jobs[0]?.state === JobState.RUNNING);
  const offer = agent.offers.find(({ ref }) => ref?.runId === run.id);
  if (offer === undefined) throw new Error("no offer came");
  return { run, offer };
}

test("a running step adds jobs, once for a key; they run in its run", async () => {
  const { run, offer } = await adding(3);
  const step = harness.client(RunService, offer.stepToken);
  const source = "jobs:\n  s1: { steps: [{ run: 'true' }] }\n  s2: { needs: [s1, plan], steps: [{ run: 'true' }] }\n";
  const keys = await Promise.all([step.addJobs({ source }), step.addJobs({ source })]);
  expect(keys.map(({ jobs }) => jobs)).toEqual([
    ["s1", "s2"],
    ["s1", "s2"],
  ]);
  await expect(step.addJobs({ source: "jobs: { s1: { steps: [{ run: x }] } }" })).rejects.toMatchObject({
    ...{ reason: "INVALID_PIPELINE", message: expect.stringContaining("already") },
  });
  const three = "jobs:\n  a: { steps: [{ run: x }] }\n  b: { steps: [{ run: x }] }\n";
  await expect(step.addJobs({ source: three })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  if (offer.ref) await agent.finish(offer.ref, { state: TaskState.SUCCEEDED });
  const ended = await harness.until(run.id);
  expect(ended.state).toBe(RunState.SUCCEEDED);
  expect(ended.jobs.map(({ spec, addedBy, state }) => [spec?.name, addedBy, state])).toEqual([
    ["plan", "", JobState.SUCCEEDED],
    ["s1", "plan", JobState.SUCCEEDED],
    ["s2", "plan", JobState.SUCCEEDED],
  ]);
  expect(offer.runToken).not.toBe(offer.stepToken);
  // The token ends with the task.
  await expect(step.addJobs({ source })).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
});

test("what is added gets no more than the job that adds it, and a person adds nothing", async () => {
  const { run, offer } = await adding(5, ", environment: test");
  const step = harness.client(RunService, offer.stepToken);
  const refused = [
    "a: { steps: [{ run: x }], environment: production }",
    "a: { steps: [{ run: x }], secrets: [{ secret: prod-key, env: KEY }] }",
    "a: { steps: [{ run: x }], adds-jobs: 3 }",
    "a: { call: { pipeline: part } }",
    "a: { notify: { receiver: hook, message: x } }",
    "a: { steps: [{ run: x }], priority: 5 }",
    "a: { steps: [{ run: x }], tolerations: [prod] }",
    "a: { deploy: { name: vad, model: vad, version: '1' } }",
    `a: { steps: [{ build: { secrets: { k: prod-key } } }] }`,
    `a: { steps: [{ run: x }], post: { always: [{ checkout: { credential: prod-key } }] } }`,
  ];
  for (const job of refused) {
    const call = step.addJobs({ source: `jobs:\n  ${job}\n` });
    await expect(call, job).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  }
  const source = `jobs:\n  a: ${STEPS}\n`;
  const task = harness.client(RunService, offer.runToken);
  await expect(task.addJobs({ source })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  await expect(step.getRun({ runId: run.id })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  await expect(harness.runs.addJobs({ source })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  await expect(step.addJobs({ source: `${source}#${"x".repeat(300_000)}` })).rejects.toMatchObject({
    reason: "TOO_LARGE",
  });
  await harness.runs.cancelRun({ runId: run.id });
  await expect(step.addJobs({ source })).rejects.toMatchObject({
    reason: expect.stringMatching(/RUN_FINISHED|UNAUTHENTICATED/),
  });
  expect((await harness.until(run.id)).jobs.length).toBe(1);
});

test("a job that does not say so adds nothing", async () => {
  agent.script = () => undefined;
  const run = await submit(`name: static\njobs:\n  plan: ${STEPS}\n`);
  await harness.until(run.id, ({ jobs }) => jobs[0]?.state === JobState.RUNNING);
  const offer = agent.offers.find(({ ref }) => ref?.runId === run.id);
  expect(offer?.stepToken).toBe("");
  const step = harness.client(RunService, offer?.runToken);
  await expect(step.addJobs({ source: `jobs:\n  a: ${STEPS}\n` })).rejects.toMatchObject({
    reason: "PERMISSION_DENIED",
  });
  await harness.runs.cancelRun({ runId: run.id });
  await harness.until(run.id);
  agent.script = () => ({ state: TaskState.SUCCEEDED });
});

test("pipelines use components by their digest, which never change", async () => {
  const components = harness.components;
  const source = `component: lint
inputs: { path: { type: string } }
steps:
  - { run: lint, env: { P: "\${{ inputs.path }}" } }
`;
  const digest = createHash("sha256").update(source).digest("hex");
  const using = `name: uses\njobs:\n  a: { steps: [{ use: "lint@sha256:${digest}", with: { path: src } }] }\n`;
  await expect(submit(using)).rejects.toMatchObject({
    ...{ reason: "INVALID_PIPELINE", message: expect.stringContaining("kedge component push") },
  });
  await expect(apply(using)).rejects.toMatchObject({ reason: "INVALID_PIPELINE" });
  const { component } = await components.pushComponent({ source });
  expect(component).toMatchObject({ name: "lint", digest, pushedBy: "admin", inputs: [{ name: "path" }] });
  expect((await components.pushComponent({ source })).component?.pushedAt).toEqual(component?.pushedAt);
  await components.pushComponent({ source: `${source}# newer\n` });
  expect((await components.listComponents({ name: "lint" })).components.map((one) => one.source)).toEqual(["", ""]);
  expect((await components.getComponent({ name: "lint", digest: digest.slice(0, 8) })).component?.source).toBe(source);
  await expect(components.getComponent({ name: "lnt" })).rejects.toMatchObject({ reason: "COMPONENT_NOT_FOUND" });
  await expect(components.pushComponent({ source: "component: x" })).rejects.toMatchObject({
    reason: "INVALID_PIPELINE",
  });
  expect((await apply(using)).diagnostics).toEqual([]);
  expect((await harness.pipelines.lintPipeline({ source: using })).diagnostics).toEqual([]);
  const planned = await harness.pipelines.planPipeline({ source: using });
  expect(planned.spec?.jobs[0]?.work.value).toMatchObject({ steps: [{ component: `lint@sha256:${digest}` }] });
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  const ended = await harness.until((await submit(using)).id);
  expect(ended.state).toBe(RunState.SUCCEEDED);
});
