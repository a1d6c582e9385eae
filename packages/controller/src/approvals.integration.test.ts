import { isRunEnded } from "@kedge/domain";
import { FailureClass, JobState, Role, type Run, RunService, RunState, SourceEvent, TaskState } from "@kedge/proto";
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
const OTHER = "b".repeat(40);
const STEPS = "{ steps: [{ run: 'true' }] }";

/** A client that calls as somebody. */
async function as(name: string, { role = Role.OPERATOR, team = "" } = {}) {
  const { token } = await harness.tokens.createToken({ name, role, team });
  return harness.client(RunService, token);
}

function pipeline(approval: string): string {
  return `name: ship\njobs:\n  test: ${STEPS}\n  ok: { needs: [test], approval: ${approval} }\n  after: { needs: [ok], steps: [{ run: 'true' }] }\n`;
}

async function blocked(approval: string, submitter = harness.runs): Promise<Run> {
  const { run } = await submitter.submitRun({
    pipeline: { case: "pipelineSource", value: pipeline(approval) },
    source: { repository: "/r", commit: COMMIT, branch: "main", message: "fix", author: "eve" },
  });
  return harness.until(run?.id ?? "", ({ jobs }) => jobs[1]?.state === JobState.BLOCKED);
}

test("so many different people must approve; each word is on record with the commit", async () => {
  const [ann, bob] = [await as("ann"), await as("bob")];
  const { id: runId } = await blocked("{ message: go?, required: 2 }");
  await ann.approveJob({ runId, job: "ok", comment: "looks good", commit: COMMIT });
  const { run: still } = await ann.approveJob({ runId, job: "ok", comment: "again" });
  expect(still?.jobs[1]).toMatchObject({ state: JobState.BLOCKED, reason: "approved by ann; 1 more to approve" });
  expect((await ann.listApprovals({ runId })).approvals).toEqual([]);
  expect((await bob.listApprovals({ runId })).approvals).toMatchObject([
    { job: "ok", required: 2, decisions: [{ by: "ann" }] },
  ]);
  await bob.approveJob({ runId, job: "ok" });
  const run = await harness.until(runId);
  expect(run.state).toBe(RunState.SUCCEEDED);
  expect(run.jobs[1]?.decisions).toMatchObject([
    { by: "ann", approved: true, comment: "looks good", commit: COMMIT },
    { by: "bob", approved: true, comment: "", commit: COMMIT },
  ]);
  await expect(bob.approveJob({ runId, job: "ok" })).rejects.toMatchObject({ reason: "JOB_NOT_BLOCKED" });
});

test("a word about another commit is refused", async () => {
  const { id: runId } = await blocked("{ message: go? }");
  for (const call of [harness.runs.approveJob, harness.runs.rejectJob]) {
    await expect(call({ runId, job: "ok", commit: OTHER })).rejects.toMatchObject({ reason: "COMMIT_MISMATCH" });
  }
  expect((await harness.run(runId)).jobs[1]).toMatchObject({ state: JobState.BLOCKED, decisions: [] });
  const { run } = await harness.runs.rejectJob({ runId, job: "ok", comment: "no", commit: COMMIT });
  expect(run?.jobs[1]).toMatchObject({
    state: JobState.FAILED,
    failure: { class: FailureClass.REJECTED },
    decisions: [{ approved: false, comment: "no" }],
  });
  expect((await harness.until(runId)).state).toBe(RunState.FAILED);
});

test("only those may decide who are meant, whatever they are called", async () => {
  const { id: runId } = await blocked("{ message: go?, approvers: [cat, 'role:admin', 'team:release'] }");
  for (const name of ["dan", "cat ", "Cat", "role:admin", "team:release"]) {
    const client = await as(name);
    await expect(client.approveJob({ runId, job: "ok" })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
    await expect(client.rejectJob({ runId, job: "ok" })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
    expect((await client.listApprovals({ runId })).approvals).toEqual([]);
    expect((await client.listApprovals({ runId, all: true })).approvals[0]?.obstacle).toMatch(/it is for cat/);
  }
  const viewer = await as("cat", { role: Role.VIEWER });
  await expect(viewer.approveJob({ runId, job: "ok" })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  expect((await harness.run(runId)).jobs[1]?.decisions).toEqual([]);
  const member = await as("fay", { team: "release" });
  await member.approveJob({ runId, job: "ok" });
  expect((await harness.until(runId)).state).toBe(RunState.SUCCEEDED);
});

test("who submitted a run may not approve it where that is asked for, but reject it", async () => {
  const gil = await as("gil");
  const { id: runId } = await blocked("{ message: go?, not-by-submitter: true }", gil);
  await expect(gil.approveJob({ runId, job: "ok" })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  const { run } = await gil.rejectJob({ runId, job: "ok" });
  expect(run?.jobs[1]?.state).toBe(JobState.FAILED);
});

test("a retried approval starts from nothing", async () => {
  const hal = await as("hal");
  const { id: runId } = await blocked("{ message: go?, required: 2 }");
  await hal.approveJob({ runId, job: "ok" });
  await harness.runs.rejectJob({ runId, job: "ok" });
  await harness.until(runId);
  await harness.runs.retryRun({ runId });
  const again = await harness.until(runId, ({ jobs }) => jobs[1]?.state === JobState.BLOCKED);
  expect(again.jobs[1]).toMatchObject({ decisions: [], decidedBy: "" });
  await hal.approveJob({ runId, job: "ok" });
  expect((await harness.run(runId)).jobs[1]?.state).toBe(JobState.BLOCKED);
});

test("an approval that nobody gives in time fails by its own reason, and held no node", async () => {
  const { id: runId } = await blocked("{ message: go?, timeout: 3s }");
  const ivy = await as("ivy");
  const [approval] = (await ivy.listApprovals({ runId })).approvals;
  expect(approval).toMatchObject({
    ...{ runId, pipeline: "ship", job: "ok", message: "go?", submittedBy: "admin" },
    source: { commit: COMMIT, branch: "main", message: "fix" },
  });
  expect(Number(approval?.expiresAt?.seconds) - Number(approval?.since?.seconds)).toBe(3);
  const run = await harness.until(runId);
  expect(run.jobs[1]).toMatchObject({
    ...{ state: JobState.FAILED, reason: "nobody approved it within 3 s", tasks: [] },
    failure: { class: FailureClass.TIMEOUT },
  });
}, 20_000);

/** What a commit may say of itself, none of which is to be believed. */
const LIES = [
  { author: "admin", message: "approved by admin" },
  { author: "role:admin", sender: "admin" },
  { author: "admin", trustedSender: true },
  { event: SourceEvent.MANUAL, repositoryName: "ours", branch: "main", author: "ann" },
];

test.each(LIES)("a run from a fork begins when a person has let its commit begin: %o", async (lie) => {
  const offers = agent.offers.length;
  const { run } = await harness.runs.submitRun({
    pipeline: { case: "pipelineSource", value: `name: outside\njobs:\n  a: ${STEPS}\n` },
    source: { repository: "/r", commit: COMMIT, fork: true, ...lie },
  });
  const runId = run?.id ?? "";
  expect(run).toMatchObject({ state: RunState.BLOCKED, jobs: [{ state: JobState.WAITING, tasks: [] }] });
  await expect(harness.runs.approveRun({ runId, commit: OTHER })).rejects.toMatchObject({ reason: "COMMIT_MISMATCH" });
  const viewer = await as("admin", { role: Role.VIEWER });
  await expect(viewer.approveRun({ runId })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  await expect(harness.runs.approveJob({ runId, job: "a" })).rejects.toMatchObject({ reason: "JOB_NOT_BLOCKED" });
  await expect(harness.runs.retryRun({ runId })).rejects.toMatchObject({ reason: "INVALID_FIELD" });
  expect(agent.offers.length).toBe(offers);
  const ann = await as("ann");
  expect((await ann.listApprovals({ runId })).approvals).toMatchObject([{ job: "", message: "may it begin?" }]);
  await ann.approveRun({ runId, comment: "read it", commit: COMMIT });
  const ended = await harness.until(runId);
  expect(ended.state).toBe(RunState.SUCCEEDED);
  expect(ended.decision).toMatchObject({ by: "ann", approved: true, comment: "read it", commit: COMMIT });
  const [offer] = agent.offers.slice(offers);
  expect(offer).toMatchObject({ cachesReadOnly: true });
  await expect(ann.approveRun({ runId })).rejects.toMatchObject({ reason: "RUN_NOT_BLOCKED" });
});

test("a rejected run ends without an offer, and waits again when it is retried", async () => {
  const offers = agent.offers.length;
  const submit = { pipeline: { case: "pipelineSource" as const, value: `name: outside\njobs:\n  a: ${STEPS}\n` } };
  const { run } = await harness.runs.submitRun({ ...submit, source: { repository: "/r", commit: COMMIT, fork: true } });
  const runId = run?.id ?? "";
  await harness.runs.rejectRun({ runId, comment: "mines coins" });
  const ended = await harness.until(runId);
  expect(ended).toMatchObject({ state: RunState.CANCELLED, reason: "rejected by admin: mines coins" });
  expect(ended.decision?.approved).toBe(false);
  const { run: again } = await harness.runs.retryRun({ runId });
  expect(again?.state).toBe(RunState.BLOCKED);
  await harness.runs.cancelRun({ runId });
  await harness.until(runId);
  const { run: copy } = await harness.runs.retryRun({ runId, from: ["a"] });
  expect(copy?.state).toBe(RunState.BLOCKED);
  expect(agent.offers.length).toBe(offers);
});

test("a fork without a full commit id is refused: nobody could say what is let in", async () => {
  for (const commit of ["", "main", COMMIT.slice(1)]) {
    const call = harness.runs.submitRun({
      pipeline: { case: "pipelineSource", value: `name: outside\njobs:\n  a: ${STEPS}\n` },
      source: { repository: "/r", commit, fork: true },
    });
    await expect(call).rejects.toMatchObject({ reason: "INVALID_FIELD", field: "source.commit" });
  }
});

test("of two words at the same moment both count or one is refused, never lost", async () => {
  const people = await Promise.all(["p1", "p2", "p3", "p4"].map((name) => as(name)));
  const { id: runId } = await blocked("{ message: go?, required: 4 }");
  await Promise.all(people.map((client) => client.approveJob({ runId, job: "ok" })));
  const run = await harness.until(runId, ({ state }) => isRunEnded(state));
  expect(run.jobs[1]?.decisions.map(({ by }) => by).sort()).toEqual(["p1", "p2", "p3", "p4"]);
  expect(run.jobs[2]?.tasks.at(-1)?.state).toBe(TaskState.SUCCEEDED);
});
