import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded, isRunEnded, isTaskEnded, isTransition, JOB_TRANSITIONS } from "@kedge/domain";
import {
  FailureClass,
  type Job,
  JobState,
  RetryOn,
  type Run,
  RunOn,
  RunSchema,
  RunState,
  TaskEventSchema,
  TaskSchema,
  TaskState,
} from "@kedge/proto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { nextDeadlineMs } from "./deadlines.ts";
import { progressRun } from "./progress.ts";
import { applyTaskEvent, currentTask, loseTask } from "./task-events.ts";

const START_MS = 1_000_000;

const jobPlan = fc.record({
  needs: fc.array(fc.nat(7), { maxLength: 3 }),
  optional: fc.boolean(),
  runOn: fc.constantFrom(RunOn.UNSPECIFIED, RunOn.FAILURE, RunOn.ALWAYS),
  allowFailure: fc.boolean(),
  matrixJob: fc.constantFrom<string[]>("", "m"),
  failFast: fc.boolean(),
  maxParallel: fc.nat(2),
  retries: fc.boolean(),
  isGate: fc.boolean(),
});
const WHATS = ["offer", "claimed", "started", "finished", "withdrawn", "lost", "cancel", "later"] as const;
const step = fc.record({
  job: fc.nat(7),
  what: fc.constantFrom(...WHATS, "offer", "finished"),
  state: fc.constantFrom(TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.LOST),
  cause: fc.constantFrom(FailureClass.EXIT_CODE, FailureClass.INFRASTRUCTURE, FailureClass.TIMEOUT),
  fenceBack: fc.constantFrom(0, 0, 0, 1),
});
type Gen<A> = A extends fc.Arbitrary<infer T> ? T : never;
type Plan = Gen<typeof jobPlan>;
type Step = Gen<typeof step>;

/** A run whose jobs need earlier ones only, as compiled files have it. */
function runOf(plans: readonly Plan[]): Run {
  const name = (i: number): string => `j${i}`;
  return create(RunSchema, {
    id: "run",
    state: RunState.PENDING,
    timeoutSeconds: 100_000,
    createdAt: timestampFromMs(START_MS),
    jobs: plans.map((plan, i) => {
      const needs = [...new Set(plan.needs)].filter((need) => need < i).map(name);
      const rules = [{ on: [RetryOn.EXIT_CODE, RetryOn.LOST_AGENT], delaySeconds: 5 }];
      const work = plan.isGate
        ? { case: "gate" as const, value: { rules: [{ metric: "m", comparison: 1, threshold: 1 }] } }
        : { case: "steps" as const, value: { steps: [{ name: "go" }] } };
      const { runOn, allowFailure, matrixJob, failFast, maxParallel } = plan;
      const more = { runOn, allowFailure, matrixJob, failFast, maxParallel };
      const spec = { name: name(i), needs, optionalNeeds: plan.optional ? needs : [], work, ...more };
      return { spec: { ...spec, maxAttempts: 2, retry: plan.retries ? rules : [] }, state: JobState.WAITING };
    }),
  });
}

const ENDS_WELL: Step = {
  job: 0,
  what: "finished",
  state: TaskState.SUCCEEDED,
  cause: FailureClass.EXIT_CODE,
  fenceBack: 0,
};

/** A run with the clock it is moved on by. */
class World {
  readonly run: Run;
  nowMs = START_MS;

  constructor(plans: readonly Plan[]) {
    this.run = runOf(plans);
    this.progress();
  }

  progress(): void {
    progressRun(this.run, timestampFromMs(this.nowMs), () => undefined);
  }

  take(next: Step): void {
    this.nowMs += 10;
    const job = this.run.jobs[next.job % this.run.jobs.length];
    if (job === undefined) return;
    if (next.what === "offer") this.offer(job);
    else if (next.what === "lost") this.lose(job);
    else if (next.what === "cancel" && next.fenceBack === 1) this.run.cancelRequested = true;
    else if (next.what === "later") this.nowMs += 6000;
    else if (next.what !== "cancel") this.tell(job, next);
    this.progress();
  }

  offer(job: Job): void {
    if (job.state !== JobState.PENDING) return;
    const fence = (currentTask(job)?.fence ?? 0) + 1;
    const [id, offeredAt] = [`run-${job.spec?.name}-${fence}`, timestampFromMs(this.nowMs)];
    job.tasks.push(create(TaskSchema, { id, nodeId: "n1", fence, state: TaskState.OFFERED, offeredAt }));
    job.state = JobState.OFFERED;
  }

  lose(job: Job): void {
    const task = currentTask(job);
    if (task === undefined || isTaskEnded(task.state) || task.state === TaskState.OFFERED) return;
    loseTask(job, task, "gone", timestampFromMs(this.nowMs));
  }

  tell(job: Job, { what, state, cause, fenceBack }: Step): void {
    const task = job.tasks.at(-1 - fenceBack);
    if (task === undefined) return;
    const { id: taskId, nodeId, fence } = task;
    const ref = { runId: "run", job: job.spec?.name ?? "", taskId, nodeId, fence };
    const failure = { class: cause, message: "failed", exitCode: 1 };
    const value = state === TaskState.SUCCEEDED ? { state } : { state, failure };
    const at = timestampFromMs(this.nowMs);
    const event = what === "finished" ? { case: what, value } : { case: what, value: {} };
    applyTaskEvent(this.run, create(TaskEventSchema, { ref, at, event } as never), at);
  }

  /** Ends every task there is, until none comes any more. */
  drain(): void {
    for (let turn = 0; turn < 200 && !isRunEnded(this.run.state); turn++) {
      for (const job of this.run.jobs) {
        this.offer(job);
        this.tell(job, { ...ENDS_WELL, what: "claimed" });
        this.tell(job, ENDS_WELL);
      }
      const deadlineMs = nextDeadlineMs(this.run);
      const isWaiting = this.run.jobs.some(
        ({ notBefore, state }) => notBefore !== undefined && state === JobState.WAITING,
      );
      if (isWaiting && deadlineMs !== undefined) this.nowMs = Math.max(this.nowMs, deadlineMs);
      this.progress();
    }
  }
}

const scripts = fc.tuple(fc.array(jobPlan, { minLength: 1, maxLength: 8 }), fc.array(step, { maxLength: 60 }));

it("jobs move as the table says, what has ended stays as it is, and moving on twice changes no more than once", () => {
  fc.assert(
    fc.property(scripts, ([plans, steps]) => {
      const world = new World(plans);
      for (const next of steps) {
        const before = structuredClone(world.run);
        world.take(next);
        before.jobs.forEach((old, i) => {
          const job = world.run.jobs[i];
          if (job === undefined) throw new Error("a job is gone");
          const reached = viaSteps(old.state, job.state);
          expect(reached, `${JobState[old.state]} to ${JobState[job.state]}`).toBe(true);
          if (isJobEnded(old.state)) expect(job).toEqual(old);
        });
        if (isRunEnded(before.state)) expect(world.run.state).toBe(before.state);
        const once = structuredClone(world.run);
        world.progress();
        expect(world.run).toEqual(once);
      }
    }),
  );
});

it("a run ends when all its tasks end, and says what its jobs came to", () => {
  fc.assert(
    fc.property(scripts, ([plans, steps]) => {
      const world = new World(plans);
      for (const next of steps) world.take(next);
      world.drain();
      const { run } = world;
      expect(isRunEnded(run.state), RunState[run.state]).toBe(true);
      expect(nextDeadlineMs(run)).toBeUndefined();
      const failed = run.jobs.some((job) => job.state === JobState.FAILED && !job.spec?.allowFailure);
      expect(run.state === RunState.FAILED).toBe(failed);
      for (const job of run.jobs) if (job.state === JobState.SKIPPED) expect(job.reason).not.toBe("");
    }),
  );
});

it("no more cells of a matrix run than it says", () => {
  fc.assert(
    fc.property(scripts, ([plans, steps]) => {
      const cells = plans.map((plan) => ({ ...plan, matrixJob: "m", maxParallel: 2 }));
      const world = new World(cells);
      for (const next of steps) {
        world.take(next);
        const running = world.run.jobs.filter(({ state }) => state !== JobState.WAITING && !isJobEnded(state));
        expect(running.length).toBeLessThanOrEqual(2);
      }
    }),
  );
});

/** Tells whether a job can come from one state to the other; events, their consequences and new attempts are one step here. */
function viaSteps(from: JobState, to: JobState): boolean {
  const seen = new Set([from]);
  for (const state of seen) {
    if (state === to) return true;
    for (const next of JOB_TRANSITIONS[state] ?? []) if (isTransition(JOB_TRANSITIONS, state, next)) seen.add(next);
  }
  return false;
}
