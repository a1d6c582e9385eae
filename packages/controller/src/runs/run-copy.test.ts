import { clone, create, fromBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { JobState, type Run, RunSchema, RunState, TaskEventSchema, TaskState } from "@kedge/proto";
import { expect, it } from "vitest";
import { createRunEncoder } from "./encode-run.ts";
import { progressRun } from "./progress.ts";
import { copyRun, isSameRun } from "./run-copy.ts";
import { applyTaskEvent } from "./task-events.ts";

const NOW = timestampFromMs(1_000_000);

function running(): Run {
  const work = { case: "steps" as const, value: { steps: [{ name: "go" }] } };
  const task = { id: "run-a-1", nodeId: "n1", fence: 1, state: TaskState.RUNNING, offeredAt: NOW, claimedAt: NOW };
  return create(RunSchema, {
    ...{ id: "run", state: RunState.RUNNING, createdAt: NOW, startedAt: NOW, labels: { team: "web" } },
    jobs: [
      { spec: { name: "z", work }, state: JobState.SUCCEEDED, outputs: { A: "b" }, finishedAt: NOW },
      { spec: { name: "a", work, env: { X: "1" } }, state: JobState.RUNNING, tasks: [task], readyAt: NOW },
      { spec: { name: "b", work, needs: ["a"] }, state: JobState.WAITING },
    ],
  });
}

function moveOn(run: Run): void {
  const ref = { runId: "run", job: "a", taskId: "run-a-1", nodeId: "n1", fence: 1 };
  const steps = [{ name: "go", state: JobState.SUCCEEDED }];
  const value = { state: TaskState.SUCCEEDED, outputs: { V: "2" }, steps };
  applyTaskEvent(run, create(TaskEventSchema, { ref, at: NOW, event: { case: "finished", value } }), NOW);
  progressRun(run, NOW, () => undefined);
}

it("a copy can be moved on without a trace in the run it was made from", () => {
  const run = running();
  const [before, copy] = [clone(RunSchema, run), copyRun(run)];
  expect(copy).toEqual(run);
  expect(isSameRun(copy, run)).toBe(true);
  moveOn(copy);
  expect(run).toEqual(before);
  expect(isSameRun(copy, run)).toBe(false);
  expect(copy.jobs.map(({ state }) => state)).toEqual([JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.PENDING]);
});

it.each([
  ["a field of the run", (run: Run) => Object.assign(run, { reason: "x" })],
  ["a field of a job", (run: Run) => Object.assign(run.jobs[2] ?? {}, { reason: "x" })],
  ["a task", (run: Run) => Object.assign(run.jobs[1]?.tasks[0] ?? {}, { preemptedBy: "x" })],
  ["one job more", (run: Run) => run.jobs.push(clone(RunSchema, run).jobs[0] as Run["jobs"][number])],
])("a change is seen: %s", (_, change) => {
  const run = running();
  const copy = copyRun(run);
  change(copy);
  expect(isSameRun(copy, run)).toBe(false);
});

it("encodes what decodes to the same run, one state after the other", () => {
  const encode = createRunEncoder();
  const run = running();
  expect(fromBinary(RunSchema, encode(run))).toEqual(run);
  const next = copyRun(run);
  moveOn(next);
  expect(fromBinary(RunSchema, encode(next))).toEqual(next);
  expect(fromBinary(RunSchema, encode(run))).toEqual(run);
});
