import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { type Job, JobState, PipelineSchema, type Run, RunSchema, RunState } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KeyFile } from "../secrets/key-file.ts";
import { SecretVault } from "../secrets/secret-vault.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { CallJobs } from "./call-jobs.ts";
import { calledRunId } from "./called-run.ts";
import { Submissions } from "./submission.ts";

let world: TestStores;
let dir: string;
const at = timestampFromMs(1_700_000_000_000);

beforeAll(async () => {
  world = await startTestStores();
  dir = await mkdtemp(join(tmpdir(), "kedge-call-"));
  const source = `name: part
parameters: { key: { type: secret } }
jobs:
  a: { secrets: [{ parameter: key, env: KEY }], steps: [{ run: "true" }] }
`;
  await world.stores.pipelines.create("part", create(PipelineSchema, { name: "part", source }));
});
afterAll(async () => {
  await world.stop();
  await rm(dir, { recursive: true, force: true });
});

/** What one controller carries calls out with. */
function controller(): CallJobs {
  const { stores } = world;
  const vault = new SecretVault({ stores, keyFile: new KeyFile(join(dir, "secrets.key")), clock: systemClock });
  const store = async (run: Run): Promise<Run> => (await stores.runs.create(run.id, run)).value;
  const submissions = new Submissions({ stores, vault, clock: systemClock, store, touch: () => {} });
  return new CallJobs({ stores, submissions: () => submissions, touch: () => {} });
}

function calling(id: string, parameters: Record<string, string> = { key: "nothing-much" }): { run: Run; job: Job } {
  const work = { case: "call" as const, value: { pipeline: "part", parameters } };
  const job = { spec: { name: "go", work }, state: JobState.RUNNING, readyAt: at };
  const run = create(RunSchema, { id, pipeline: "whole", submittedBy: "ann", team: "x", jobs: [job] });
  const [only] = run.jobs;
  if (only === undefined) throw new Error("the run has no job");
  only.calledRunId = calledRunId(run, only, at);
  return { run, job: only };
}

test("of two controllers that call at once, one run comes out", async () => {
  const { run, job } = calling("01aaaaaaaaaaaaaaaaaaaaaaaa");
  const [one, other] = [controller(), controller()];
  await Promise.all([one.act(run, job), other.act(run, job), one.act(run, job)]);
  const called = [...world.stores.runs.entries()].filter(([, { value }]) => value.calledBy === `${run.id}/go`);
  expect(called.map(([id]) => id)).toEqual([job.calledRunId]);
  expect([one.hasNews(run), other.hasNews(run)]).toEqual([false, false]);
});

test("a job that must end before it has called anything calls nothing", async () => {
  const { run, job } = calling("01bbbbbbbbbbbbbbbbbbbbbbbb");
  Object.assign(run, { cancelRequested: true, reason: "enough" });
  const calls = controller();
  await calls.act(run, job);
  expect(world.stores.runs.get(job.calledRunId)).toBeUndefined();
  calls.observe(run, at);
  expect(job).toMatchObject({ state: JobState.CANCELLED, reason: "enough" });
});

test("what is called counts for its caller's submitter and team, and hides what is secret", async () => {
  const { run, job } = calling("01cccccccccccccccccccccccc", { key: "hunter2-hunter2" });
  await controller().act(run, job);
  expect(world.stores.runs.get(job.calledRunId)?.value).toMatchObject({
    ...{
      submittedBy: "ann",
      team: "x",
      state: RunState.PENDING,
      parameters: { key: "***" },
      secretParameters: ["key"],
    },
  });
});

test("ids of called runs sort by time and differ by job, run and attempt", () => {
  const { run, job } = calling("01dddddddddddddddddddddddd");
  const ids = [
    calledRunId(run, job, at),
    calledRunId(run, job, timestampFromMs(1_700_000_000_001)),
    calledRunId({ ...run, id: "other" }, job, at),
  ];
  expect(new Set(ids).size).toBe(3);
  expect(ids.every((id) => /^[0-9a-z]{26}$/.test(id))).toBe(true);
  expect((ids[0] ?? "").slice(0, 10) < (ids[1] ?? "").slice(0, 10)).toBe(true);
});
