import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded, isTaskEnded, isTransition, JOB_TRANSITIONS, TASK_TRANSITIONS } from "@kedge/domain";
import { FailureClass, JobState, type Run, RunSchema, RunState, TaskEventSchema, TaskState } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { progressRun } from "./progress.ts";
import { applyTaskEvent } from "./task-events.ts";

const NOW = timestampFromMs(1_000_000);

function offered(): Run {
  return create(RunSchema, {
    id: "run",
    state: RunState.RUNNING,
    timeoutSeconds: 3600,
    createdAt: NOW,
    jobs: ["a", "b"].map((name) => ({
      spec: {
        name,
        work: { case: "steps" as const, value: { steps: [{ name: "go" }, { name: "constructor" }] } },
        maxAttempts: 2,
      },
      state: JobState.OFFERED,
      readyAt: timestampFromMs(0),
      tasks: [{ id: `run-${name}-1`, nodeId: "n1", fence: 1, state: TaskState.OFFERED, offeredAt: timestampFromMs(0) }],
    })),
  });
}

const ref = fc.record({
  nodeId: fc.constantFrom("n1", "n1", "n1", "n2"),
  job: fc.constantFrom("a", "b", "__proto__"),
  fence: fc.constantFrom(1, 1, 1, 2),
  runId: fc.constantFrom("run", "run", "other"),
});
const kind = fc.oneof(
  fc.constant({ case: "claimed", value: { bootId: "b" } } as const),
  fc.constant({ case: "started", value: {} } as const),
  fc.constant({ case: "withdrawn", value: { reason: "late" } } as const),
  fc.record({
    case: fc.constant("step" as const),
    value: fc.record({ name: fc.constantFrom("go", "constructor", "no-such"), state: fc.integer({ min: 0, max: 20 }) }),
  }),
  fc.record({
    case: fc.constant("finished" as const),
    value: fc.record({
      state: fc.integer({ min: 0, max: 9 }),
      failure: fc.option(fc.record({ class: fc.integer({ min: 0, max: 12 }), message: fc.string() }), {
        nil: undefined,
      }),
    }),
  }),
);
const event = fc
  .record({ ref, kind, atMs: fc.integer({ min: -1e15, max: 1e15 }) })
  .map(({ ref: { job, ...rest }, kind: value, atMs }) => {
    const named = { ...rest, job, taskId: `run-${job}-1` };
    return create(TaskEventSchema, { ref: named, at: timestampFromMs(atMs), event: value } as never);
  });

test("whatever agents send, states move as the tables say and nothing that ended begins again", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const run = offered();
      for (const next of events) {
        const before = run.jobs.map((job) => ({ job: job.state, task: job.tasks[0]?.state ?? 0 }));
        const changed = applyTaskEvent(run, next, NOW);
        if (next.ref?.nodeId !== "n1" || next.ref.runId !== "run" || next.ref.fence !== 1) expect(changed).toBe(false);
        run.jobs.forEach((job, i) => {
          const old = before[i];
          if (old === undefined) return;
          const task = job.tasks[0]?.state ?? 0;
          // A finish that overtook its claim passes through it.
          const viaClaim = old.task === TaskState.OFFERED && isTransition(TASK_TRANSITIONS, TaskState.CLAIMED, task);
          expect(task === old.task || viaClaim || isTransition(TASK_TRANSITIONS, old.task, task)).toBe(true);
          const jobViaClaim =
            old.job === JobState.OFFERED && isTransition(JOB_TRANSITIONS, JobState.RUNNING, job.state);
          expect(job.state === old.job || jobViaClaim || isTransition(JOB_TRANSITIONS, old.job, job.state)).toBe(true);
          if (isJobEnded(old.job)) expect(job.state).toBe(old.job);
          if (isTaskEnded(old.task)) expect(task).toBe(old.task);
          expect([TaskState.LOST, TaskState.UNSPECIFIED]).not.toContain(task);
          expect(job.steps.every((step) => step.name !== "no-such")).toBe(true);
        });
      }
    }),
  );
});

test("the same events again change nothing", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), (events) => {
      const run = offered();
      for (const next of events) applyTaskEvent(run, next, NOW);
      const ended = run.jobs.filter((job) => isTaskEnded(job.tasks[0]?.state ?? 0)).map((job) => structuredClone(job));
      for (const next of events) applyTaskEvent(run, next, NOW);
      for (const job of ended) expect(run.jobs).toContainEqual(job);
    }),
  );
});

test("progressing a run twice changes no more than once", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 10 }), fc.boolean(), (events, cancelled) => {
      const run = offered();
      for (const next of events) applyTaskEvent(run, next, NOW);
      run.cancelRequested = cancelled;
      progressRun(run, NOW, () => undefined);
      const once = structuredClone(run);
      progressRun(run, NOW, () => undefined);
      expect(run).toEqual(once);
    }),
  );
});

test("an agent's impossible times, states and reports are replaced or refused", () => {
  const run = offered();
  const named = { nodeId: "n1", job: "a", fence: 1, runId: "run", taskId: "run-a-1" };
  const at = timestampFromMs(9e14);
  applyTaskEvent(run, create(TaskEventSchema, { ref: named, at, event: { case: "claimed", value: {} } }), NOW);
  expect(run.jobs[0]?.tasks[0]?.claimedAt).toEqual(NOW);
  const value = {
    state: TaskState.SUCCEEDED,
    metrics: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [i, 1])),
  };
  applyTaskEvent(run, create(TaskEventSchema, { ref: named, at, event: { case: "finished", value } }), NOW);
  expect(run.jobs[0]?.failure).toMatchObject({
    class: FailureClass.INVALID,
    message: "it reported more than 1000 metrics",
  });
});
