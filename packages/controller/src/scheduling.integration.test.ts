import { JobState, Role, type Run, RunService, TaskState } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeEach(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
  // Tasks end when a test ends them.
  agent.script = () => undefined;
});
afterEach(() => harness.stop());

interface Work {
  readonly cpu: number;
  readonly more?: string;
  readonly jobs?: readonly string[];
}

function pipeline({ cpu, more = "", jobs = ["work"] }: Work): string {
  const body = `${more === "" ? "" : `    ${more}\n`}    resources: { cpu: ${cpu} }\n    steps: [{ name: go, run: 'true' }]\n`;
  return `name: p\njobs:\n${jobs.map((name) => `  ${name}:\n${body}`).join("")}`;
}

const submit = (work: Work) => harness.submit(pipeline(work));
const isRunning = (run: Run) => run.jobs.every(({ state }) => state === JobState.RUNNING);
const running = async (work: Work) => harness.until((await submit(work)).id, isRunning);
const order = () => agent.offers.map(({ ref }) => ref?.runId);

async function end(run: Run): Promise<void> {
  for (const { ref } of agent.offers.filter((offer) => offer.ref?.runId === run.id)) {
    if (ref !== undefined) await agent.finish(ref, { state: TaskState.SUCCEEDED });
  }
}

test("what waits gets room by priority, whoever came first; the queue says so", async () => {
  const first = await running({ cpu: 4, more: "priority: 100" });
  const low = await submit({ cpu: 4, more: "priority: -5" });
  const plain = await submit({ cpu: 4 });
  const high = await submit({ cpu: 4, more: "priority: 7" });
  const { entries } = await eventually(
    () => harness.scheduling.listQueue({}),
    (queue) => queue.entries.length === 3,
  );
  expect(entries.map(({ runId, position }) => [runId, position])).toEqual([
    [high.id, 1],
    [plain.id, 2],
    [low.id, 3],
  ]);
  expect(entries[0]).toMatchObject({ job: "work", pipeline: "p", team: "default", priority: 7 });
  const page = await harness.scheduling.listQueue({ pageSize: 2 });
  const rest = await harness.scheduling.listQueue({ pageSize: 2, pageToken: page.nextPageToken });
  expect([page.entries.length, rest.entries.map(({ runId }) => runId)]).toEqual([2, [low.id]]);

  for (const run of [first, high, plain, low]) {
    await harness.until(run.id, isRunning);
    await end(run);
    await harness.until(run.id);
  }
  expect(order()).toEqual([first.id, high.id, plain.id, low.id]);
  expect((await harness.scheduling.listQueue({})).entries).toEqual([]);
});

test("a gang starts as a whole or not at all", async () => {
  const blocker = await running({ cpu: 3 });
  const gang = await submit({ cpu: 2, more: "gang: pair", jobs: ["a", "b"] });
  const { entries } = await eventually(
    () => harness.scheduling.listQueue({}),
    (queue) => queue.entries.length === 2,
  );
  expect(entries.map(({ job }) => job)).toEqual(["a", "b"]);
  await end(blocker);
  const started = await harness.until(gang.id, isRunning);
  expect(started.jobs.map(({ tasks }) => tasks.length)).toEqual([1, 1]);
  const fits = await submit({ cpu: 0.1, more: "gang: pair", jobs: ["a", "b"] });
  await end(gang);
  await harness.until(fits.id, isRunning);
});

test("a team's quota holds its jobs back and nobody else's; usage survives a restart", async () => {
  const { token } = await harness.tokens.createToken({ name: "ml", role: Role.OPERATOR, team: "research" });
  const teams = { research: { share: 2, quota: { cpuMilli: 2000n } } };
  await harness.scheduling.setSchedulingPolicy({ policy: { teams } });
  const research = harness.client(RunService, token);
  const request = { pipeline: { case: "pipelineSource", value: pipeline({ cpu: 1.5 }) } } as const;
  const one = (await research.submitRun(request)).run as Run;
  expect(one.team).toBe("research");
  await harness.until(one.id, isRunning);
  const two = (await research.submitRun(request)).run as Run;
  const other = await running({ cpu: 1.5 });
  const waiting = await harness.until(two.id, (run) => run.jobs[0]?.pending?.heldBack !== undefined);
  expect(waiting.jobs[0]?.reason).toContain("quota research/cpu_milli");
  const explained = await harness.scheduling.explainJob({ runId: two.id, job: "work" });
  expect(explained.queue).toMatchObject({ team: "research", position: 1 });
  expect(explained.lines.join("\n")).toContain("quota research/cpu_milli");

  await harness.stopController();
  await harness.startController();
  const after = await eventually(
    () => harness.scheduling.listTeams({}),
    (listed) => listed.teams.some(({ team, waitingJobs }) => team === "research" && waitingJobs === 1),
  );
  const row = after.teams.find(({ team }) => team === "research");
  expect(row).toMatchObject({ share: 2, runningJobs: 1, held: { cpuMilli: 1500n }, quota: { cpuMilli: 2000n } });
  await end(one);
  await harness.until(two.id, isRunning);
  await end(other);
});

test("a concurrency group lets so many in, over all runs", async () => {
  const more = "concurrency: { group: deploy, limit: 1 }";
  const one = await running({ cpu: 0.1, more });
  const two = await submit({ cpu: 0.1, more });
  const waiting = await harness.until(two.id, (run) => run.jobs[0]?.pending?.heldBack !== undefined);
  expect(waiting.jobs[0]?.reason).toBe("concurrency group deploy is full: 1 at once");
  await end(one);
  await harness.until(two.id, isRunning);
});

test("a job of lower priority makes room, waits again, and no attempt is used up; also through a restart", async () => {
  const low = await running({ cpu: 3, more: "retry: { attempts: 1, on-lost: retry }" });
  const held = await running({ cpu: 1, more: "retry: { on-lost: hold }" });
  // The agent does not end anything until told.
  agent.obeys = false;
  const high = await submit({ cpu: 3, more: "priority: 50" });
  const told = await harness.until(low.id, (run) => run.jobs[0]?.tasks[0]?.preemptedBy !== "");
  expect(told.jobs[0]?.tasks[0]?.preemptedBy).toBe(`${high.id}/work`);
  const waiting = await harness.until(high.id, (run) => run.jobs[0]?.pending?.heldBack !== undefined);
  expect(waiting.jobs[0]?.reason).toBe("jobs of lower priority on n1 make room for it");

  await harness.stopController();
  await harness.startController();
  // Somebody who comes later does not get the room that is being made.
  const late = await submit({ cpu: 3, more: "priority: 40" });
  agent.obey();
  await harness.until(high.id, isRunning);
  const made = await harness.until(low.id, (run) => run.jobs[0]?.state === JobState.PENDING);
  expect(made.jobs[0]?.tasks.map(({ state }) => state)).toEqual([TaskState.PREEMPTED]);
  expect(made.jobs[0]?.reason).toContain(`made room for ${high.id}/work`);
  expect((await harness.run(held.id)).jobs[0]?.state).toBe(JobState.RUNNING);
  agent.obeys = true;
  for (const run of [high, late]) {
    await harness.until(run.id, isRunning);
    await end(run);
  }
  const again = await harness.until(low.id, (run) => run.jobs[0]?.tasks[1]?.state === TaskState.RUNNING);
  expect(again.jobs[0]?.tasks[0]?.state).toBe(TaskState.PREEMPTED);
});

test("room is held for what waits long; what ends before that passes by", async () => {
  await harness.scheduling.setSchedulingPolicy({ policy: { reserveAfterSeconds: 1, noPreemption: true } });
  const long = await running({ cpu: 3, more: "timeout: 1h" });
  const big = await submit({ cpu: 4 });
  const { entries } = await eventually(
    () => harness.scheduling.listQueue({}),
    (queue) => queue.entries[0]?.reservedNodeId === "n1",
  );
  expect(entries[0]?.runId).toBe(big.id);
  const short = await running({ cpu: 1, more: "timeout: 5m" });
  const tooLong = await submit({ cpu: 1, more: "timeout: 3h" });
  await end(short);
  const waiting = await harness.until(tooLong.id, (run) => run.jobs[0]?.pending?.heldBack !== undefined);
  expect(waiting.jobs[0]?.reason).toContain(`held for ${big.id}/work`);
  await end(long);
  await harness.until(big.id, isRunning);
  await end(big);
  await harness.until(tooLong.id, isRunning);
});

test("what if: copies are planned, and nothing is reserved afterwards", async () => {
  const { placements } = await harness.scheduling.planDemand({ resources: { cpuMilli: 1500 }, count: 5 });
  expect(placements.map(({ chosenNodeId }) => chosenNodeId)).toEqual(["n1", "n1", ""]);
  expect(placements.at(-1)?.summary).toContain("cpu");
  await running({ cpu: 4 });
  const bad = harness.scheduling.planDemand({ count: 5_000 });
  await expect(bad).rejects.toMatchObject({ reason: "INVALID_FIELD", field: "count" });
  const policy = { teams: { "No Team": { share: 1 } } };
  await expect(harness.scheduling.setSchedulingPolicy({ policy })).rejects.toMatchObject({ reason: "INVALID_FIELD" });
});

test("a job is explained while it runs, with its own room counted as free", async () => {
  const run = await running({ cpu: 4 });
  const { explanation, lines, queue } = await harness.scheduling.explainJob({ runId: run.id, job: "work" });
  expect(explanation?.chosenNodeId).toBe("n1");
  expect(queue).toBeUndefined();
  expect(lines[0]).toBe("work is running: running on n1.");
  // Looking changed nothing.
  const second = await submit({ cpu: 1 });
  expect((await harness.run(second.id)).jobs[0]?.state).toBe(JobState.PENDING);
});
