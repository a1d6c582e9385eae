import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  FailureClass,
  JobState,
  RetryOn,
  type Run,
  RunSchema,
  RunState,
  TaskEventSchema,
  type TaskSchema,
  TaskState,
} from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { nextDeadlineMs } from "./deadlines.ts";
import { GIVE_UP_MS } from "./endings.ts";
import { progressRun } from "./progress.ts";
import { applyTaskEvent } from "./task-events.ts";

const START_MS = 1_000_000;

interface Given {
  readonly spec?: object;
  readonly task?: MessageInitShape<typeof TaskSchema>;
  readonly cancelled?: boolean;
}

/** A run with one job that an agent has, and one that waits for it. */
function running({ spec = {}, task = {}, cancelled = false }: Given): Run {
  const times = { offeredAt: timestampFromMs(START_MS), claimedAt: timestampFromMs(START_MS) };
  const tasks = [{ id: "run-a-1", nodeId: "n1", fence: 1, state: TaskState.RUNNING, ...times, ...task }];
  const work = { case: "steps" as const, value: { steps: [{ name: "go" }] } };
  const first = { spec: { name: "a", work, timeoutSeconds: 600, ...spec }, state: JobState.RUNNING, tasks };
  return create(RunSchema, {
    ...{ id: "run", state: RunState.RUNNING, createdAt: timestampFromMs(START_MS), timeoutSeconds: 86_400 },
    jobs: [
      { ...first, readyAt: timestampFromMs(START_MS) },
      { spec: { name: "b", needs: ["a"], work }, state: JobState.WAITING },
    ],
    cancelRequested: cancelled,
    reason: cancelled ? "not needed" : "",
  });
}

const at = (ms: number, run: Run): void => progressRun(run, timestampFromMs(START_MS + ms), () => undefined);

function finish(run: Run, ms: number): void {
  const ref = { runId: "run", job: "a", taskId: "run-a-1", nodeId: "n1", fence: 1 };
  const when = timestampFromMs(START_MS + ms);
  const event = { case: "finished" as const, value: { state: TaskState.CANCELLED } };
  applyTaskEvent(run, create(TaskEventSchema, { ref, at: when, event }), when);
}

describe("a task that must end", () => {
  it("is given up when its node does not answer, and the run ends", () => {
    const run = running({ cancelled: true });
    at(1000, run);
    expect(run.jobs[0]?.tasks[0]?.ending).toMatchObject({ class: FailureClass.CANCELLED, message: "not needed" });
    expect(nextDeadlineMs(run)).toBe(START_MS + 1000 + GIVE_UP_MS);
    at(1000 + GIVE_UP_MS - 1, run);
    expect(run.state).toBe(RunState.RUNNING);
    at(1000 + GIVE_UP_MS, run);
    expect(run).toMatchObject({ state: RunState.CANCELLED, reason: "not needed" });
    expect(run.jobs[0]?.reason).toBe(
      "not needed; node n1 was told to end it and has not for 65 s: given up, it may still run there",
    );
    expect(run.jobs.map(({ state }) => state)).toEqual([JobState.CANCELLED, JobState.CANCELLED]);
  });

  it("has the time for its post steps first", () => {
    const post = [{ step: { name: "tidy" } }];
    const run = running({ cancelled: true, spec: { post } });
    at(0, run);
    expect(nextDeadlineMs(run)).toBe(START_MS + 300_000 + GIVE_UP_MS);
    const short = running({ cancelled: true, spec: { post, cleanupTimeoutSeconds: 10 } });
    at(0, short);
    expect(nextDeadlineMs(short)).toBe(START_MS + 10_000 + GIVE_UP_MS);
  });

  it("that its node does not end after its time limit is told to end, and has failed", () => {
    const run = running({});
    const overdueMs = 600_000 + GIVE_UP_MS;
    expect(nextDeadlineMs(run)).toBe(START_MS + overdueMs);
    at(overdueMs, run);
    expect(run.jobs[0]).toMatchObject({
      state: JobState.RUNNING,
      tasks: [{ ending: { class: FailureClass.TIMEOUT } }],
    });
    finish(run, overdueMs + 10);
    at(overdueMs + 10, run);
    expect(run.state).toBe(RunState.FAILED);
    expect(run.jobs[0]).toMatchObject({
      reason: "it took longer than 600 s, and its node did not end it",
      failure: { class: FailureClass.TIMEOUT },
      tasks: [{ state: TaskState.FAILED }],
    });
  });

  it("to make room waits again when its agent has ended it", () => {
    const run = running({ task: { preemptedBy: "other/job" } });
    at(0, run);
    finish(run, 10);
    at(10, run);
    expect(run.jobs[0]).toMatchObject({ state: JobState.PENDING, tasks: [{ state: TaskState.PREEMPTED }] });
  });

  it.each([
    ["made room", { task: { preemptedBy: "other/job" } }, 0],
    ["took too long", { spec: { retry: [{ on: [RetryOn.TIMEOUT] }] } }, 600_000 + GIVE_UP_MS],
  ])("is not tried again once it is given up, as it may still run: one that %s", (_, given, toldMs) => {
    const run = running(given);
    at(toldMs, run);
    at(toldMs + GIVE_UP_MS, run);
    expect(run.jobs[0]).toMatchObject({ state: JobState.FAILED, tasks: [{ state: TaskState.FAILED }] });
    expect(run.jobs[0]?.reason).toMatch(/node n1 was told to end it .* it may still run there$/);
    expect(run.state).toBe(RunState.FAILED);
  });

  it("is cancelled when its agent does as it was told", () => {
    const run = running({ cancelled: true });
    at(0, run);
    finish(run, 10);
    at(10, run);
    expect(run.jobs[0]).toMatchObject({ state: JobState.CANCELLED, reason: "not needed" });
    expect(run.state).toBe(RunState.CANCELLED);
  });
});

describe("a cell of a fail-fast matrix", () => {
  it("is ended, and those that wait are cancelled, when another fails", () => {
    const run = running({ spec: { matrixJob: "m", failFast: true } });
    const [cell, other] = run.jobs;
    if (cell?.spec === undefined || other?.spec === undefined) throw new Error("no jobs");
    Object.assign(other.spec, { matrixJob: "m", failFast: true, needs: [] });
    other.state = JobState.FAILED;
    other.finishedAt = timestampFromMs(START_MS);
    at(10, run);
    expect(cell.tasks[0]?.ending?.message).toBe("b failed, and the matrix is fail-fast");
    finish(run, 20);
    at(20, run);
    expect(cell).toMatchObject({ state: JobState.CANCELLED, reason: "b failed, and the matrix is fail-fast" });
    expect(run.state).toBe(RunState.FAILED);
  });
});
