import { FailureClass, JobState, type Run, RunState, TaskState } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ControllerHarness } from "../testing/controller-harness.ts";
import type { Script } from "../testing/scripted-agent.ts";

let harness: ControllerHarness;

beforeEach(async () => {
  harness = await ControllerHarness.start();
});
afterEach(() => harness.stop());

const work = (runs: string): string => `name: p\n${runs}\njobs:\n  work: { steps: [{ run: 'true' }] }\n`;
const states = (run: Run): Record<string, string> =>
  Object.fromEntries(run.jobs.map(({ spec, state }) => [spec?.name ?? "", JobState[state]]));
const isRunning = (run: Run): boolean => run.jobs[0]?.state === JobState.RUNNING;

describe("runs of a group", () => {
  test("go one after the other, the oldest first, also over a restart of the controller", async () => {
    const agent = await harness.agent("n1");
    agent.script = () => undefined;
    const source = work("runs: { group: g }");
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await harness.submit(source)).id);
    const [first = "", second = "", third = ""] = ids;
    await harness.until(first, isRunning);
    expect(await harness.run(second)).toMatchObject({
      state: RunState.QUEUED,
      reason: "waits for its turn among the runs of g",
      jobs: [{ state: JobState.WAITING }],
    });
    await harness.stopController({ keepNats: false });
    await harness.startController();
    expect((await harness.run(second)).state).toBe(RunState.QUEUED);
    for (const [now, later] of [
      [first, second],
      [second, third],
      [third, ""],
    ] as const) {
      await harness.until(now, isRunning);
      if (later !== "") expect((await harness.run(later)).state).toBe(RunState.QUEUED);
      const offer = agent.offers.findLast(({ ref }) => ref?.runId === now);
      if (offer?.ref !== undefined) await agent.finish(offer.ref, { state: TaskState.SUCCEEDED });
      await harness.until(now);
    }
    expect(agent.offers.map(({ ref }) => ref?.runId)).toEqual(ids);
  });

  test("give way to newer ones where the file says so", async () => {
    const agent = await harness.agent("n1");
    agent.script = () => undefined;
    const source = (onNew: string): string => work(`runs: { group: g, on-new: ${onNew} }`);
    const first = await harness.submit(source("cancel-pending"));
    await harness.until(first.id, isRunning);
    const second = await harness.submit(source("cancel-pending"));
    const third = await harness.submit(source("cancel-pending"));
    const gone = await harness.until(second.id);
    expect(gone).toMatchObject({ state: RunState.CANCELLED, reason: `gave way to run ${third.id} of g` });
    expect((await harness.run(first.id)).state).toBe(RunState.RUNNING);

    const fourth = await harness.submit(source("cancel-running"));
    for (const { id } of [first, third]) {
      expect(await harness.until(id)).toMatchObject({
        state: RunState.CANCELLED,
        reason: `gave way to run ${fourth.id} of g`,
      });
    }
    await harness.until(fourth.id, isRunning);
  });

  test("are of one group for each branch", async () => {
    const agent = await harness.agent("n1");
    agent.script = () => undefined;
    const source = work(`runs: { group: "p-\${{ run.branch }}" }`);
    const submit = async (branch: string): Promise<string> => {
      const pipeline = { case: "pipelineSource" as const, value: source };
      return (await harness.runs.submitRun({ pipeline, source: { branch } })).run?.id ?? "";
    };
    const [main, other, again] = [await submit("main"), await submit("other"), await submit("main")];
    await harness.until(main, isRunning);
    await harness.until(other, isRunning);
    expect((await harness.run(again)).concurrency?.group).toBe("p-main");
    expect((await harness.run(again)).state).toBe(RunState.QUEUED);
  });
});

describe("a job that fails", () => {
  test("is tried again by its rules, after its delay, and holds no room until then", async () => {
    const agent = await harness.agent("n1");
    const failing: Script = ({ ref }) => {
      const failure = { class: FailureClass.EXIT_CODE, exitCode: 75, message: "exit 75" };
      return ref?.fence === 1 ? { state: TaskState.FAILED, failure } : { state: TaskState.SUCCEEDED };
    };
    agent.script = failing;
    const rule = "{ on: exit-code, exit-codes: [75], delay: 2s }";
    const source = `name: p\njobs:\n  work: { retry: { rules: [${rule}] }, steps: [{ run: x }] }\n`;
    const { id } = await harness.submit(source);
    const delayed = await harness.until(id, ({ jobs }) => jobs[0]?.notBefore !== undefined);
    expect(delayed.jobs[0]).toMatchObject({
      state: JobState.WAITING,
      reason: "exit 75; tried again after 2 s",
      tasks: [{ state: TaskState.FAILED, failure: { exitCode: 75 } }],
    });
    expect((await harness.scheduling.listQueue({})).entries).toEqual([]);
    expect((await harness.scheduling.explainJob({ runId: id, job: "work" })).lines[0]).toBe(
      "work is waiting: exit 75; tried again after 2 s.",
    );
    const run = await harness.until(id);
    expect(run.state).toBe(RunState.SUCCEEDED);
    expect(run.jobs[0]?.tasks.map(({ state }) => state)).toEqual([TaskState.FAILED, TaskState.SUCCEEDED]);
  });

  test("gives its run a second one, from that job on, with what the others came to", async () => {
    const agent = await harness.agent("n1");
    let isMended = false;
    agent.script = ({ job }) => {
      if (job?.name === "build") return { state: TaskState.SUCCEEDED, outputs: { VERSION: "7" } };
      if (job?.name === "test" && !isMended) return { state: TaskState.FAILED };
      return { state: TaskState.SUCCEEDED };
    };
    const source = `name: p
parameters: { level: { default: low } }
jobs:
  build: { steps: [{ run: x }] }
  test: { needs: [build], env: { V: "\${{ jobs.build.outputs.VERSION }}" }, steps: [{ run: x }] }
  ship: { needs: [test], steps: [{ run: x }] }
`;
    const first = await harness.until((await harness.submit(source)).id);
    expect(states(first)).toEqual({ build: "SUCCEEDED", test: "FAILED", ship: "SKIPPED" });
    isMended = true;
    const { run: again } = await harness.runs.retryRun({ runId: first.id, from: ["test"] });
    const second = await harness.until(again?.id ?? "");
    expect(second).toMatchObject({ state: RunState.SUCCEEDED, rerunOf: first.id });
    expect(second.jobs[0]).toMatchObject({ reusedFrom: first.id, outputs: { VERSION: "7" }, tasks: [] });
    expect(agent.offers.filter(({ job }) => job?.name === "build")).toHaveLength(1);
    expect(agent.offers.findLast(({ job }) => job?.name === "test")?.job?.env).toEqual({ V: "7" });
    expect((await harness.run(first.id)).jobs).toEqual(first.jobs);
    await expect(harness.runs.retryRun({ runId: first.id, from: ["no"] })).rejects.toMatchObject({
      reason: "JOB_NOT_FOUND",
    });
  });
});

test("a cell that fails ends the others of its matrix; no more run at once than the file says", async () => {
  const agent = await harness.agent("n1");
  agent.script = ({ job }) => (job?.name === "m-2" ? { state: TaskState.FAILED } : undefined);
  const { id } = await harness.submit(
    "name: p\njobs:\n  m:\n    matrix: { x: [1, 2, 3, 4] }\n    fail-fast: true\n    max-parallel: 2\n    steps: [{ run: x }]\n",
  );
  const run = await harness.until(id);
  expect(states(run)).toEqual({ "m-1": "CANCELLED", "m-2": "FAILED", "m-3": "CANCELLED", "m-4": "CANCELLED" });
  expect(run.jobs[0]?.reason).toBe("m-2 failed, and the matrix is fail-fast");
  expect(run.jobs[3]?.tasks).toEqual([]);
});
