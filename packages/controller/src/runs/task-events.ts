import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isTaskEnded, isTransition, TASK_TRANSITIONS } from "@kedge/domain";
import {
  type Failure,
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  LostPolicy,
  type Run,
  type StepStatus,
  type Task,
  type TaskEvent,
  type TaskFinished,
  TaskState,
} from "@kedge/proto";
import { attemptAfter } from "./attempts.ts";
import { clipText, excessOf } from "./report-limits.ts";

/**
 * Applies one task event to a run, in place. Events of another attempt, of an attempt that has ended, or that the
 * task's state does not allow are ignored: agents may repeat themselves, be late, or lie.
 *
 * @param now taken for the event's time when that cannot be true.
 * @returns whether anything changed.
 */
export function applyTaskEvent(run: Run, event: TaskEvent, now: Timestamp): boolean {
  const found = findTask(run, event);
  if (found === undefined || isTaskEnded(found.task.state)) return false;
  const { job, task } = found;
  const at = plausibleTime(event.at, task, now);
  switch (event.event.case) {
    case "claimed":
      return claim(job, task, at);
    case "started":
      if (task.state !== TaskState.CLAIMED) return false;
      task.state = TaskState.RUNNING;
      task.startedAt = at;
      return true;
    case "step":
      return recordStep(job, task, event.event.value, at);
    case "finished":
      return finish(run, found, event.event.value, at);
    case "withdrawn":
      if (task.state !== TaskState.OFFERED) return false;
      endAttempt(job, task, task.preemptedBy === "" ? TaskState.WITHDRAWN : TaskState.PREEMPTED, undefined, at);
      requeue(job, clipText(event.event.value.reason));
      return true;
    case undefined:
      return false;
    default:
      return event.event satisfies never;
  }
}

/** Ends a job's current attempt because its node is gone; its policy decides what comes next. In place. */
export function loseTask(job: Job, task: Task, message: string, at: Timestamp): void {
  const failure = create(FailureSchema, { class: FailureClass.LOST_AGENT, message });
  endAttempt(job, task, TaskState.LOST, failure, at);
  if (task.preemptedBy === "" && task.ending?.class === FailureClass.CANCELLED) {
    cancelJob(job, `${task.ending.message}; ${message}`, at);
    return;
  }
  const policy = job.spec?.onLost || LostPolicy.RETRY;
  if (policy === LostPolicy.HOLD) {
    job.state = JobState.HELD;
    job.reason = `${message}; held for a person to retry or cancel`;
  } else if (policy === LostPolicy.RETRY) {
    failAttempt(job, failure, at);
  } else {
    failJob(job, failure, at);
  }
}

/**
 * Ends a task that was told to end, and did, in place. What becomes of the job depends on why: it waits
 * again if the task made room, is cancelled with its run or matrix, and has failed if it took too long.
 */
export function endTold({ run, job, task }: Told, message: string, at: Timestamp): void {
  const cause = task.ending?.class || FailureClass.CANCELLED;
  const failure = create(FailureSchema, { class: cause, message: clipText(message) });
  if (task.preemptedBy !== "" && !run.cancelRequested) {
    endAttempt(job, task, TaskState.PREEMPTED, failure, at);
    requeue(job, failure.message);
  } else if (cause === FailureClass.TIMEOUT && !run.cancelRequested) {
    endAttempt(job, task, TaskState.FAILED, failure, at);
    failAttempt(job, failure, at);
  } else {
    endAttempt(job, task, TaskState.CANCELLED, failure, at);
    cancelJob(job, failure.message, at);
  }
}

/**
 * Gives up a task whose node answers and does not end it, in place. It may still run there, so the job is not tried again
 * whatever its rules say: two attempts would be at work at once.
 */
export function giveUp(told: Told, message: string, at: Timestamp): void {
  const { run, job, task } = told;
  const waits = task.preemptedBy !== "" || task.ending?.class === FailureClass.TIMEOUT;
  if (run.cancelRequested || !waits) {
    endTold(told, message, at);
    return;
  }
  const isLate = task.ending?.class === FailureClass.TIMEOUT;
  const cause = isLate ? FailureClass.TIMEOUT : FailureClass.INFRASTRUCTURE;
  const failure = create(FailureSchema, { class: cause, message: clipText(message) });
  endAttempt(job, task, TaskState.FAILED, failure, at);
  failJob(job, failure, at);
}

/** A task that must end, with its job and run. */
export interface Told {
  readonly run: Run;
  readonly job: Job;
  readonly task: Task;
}

/** Takes an attempt's failure: the job is tried again, at once or later, as its rules say, or has failed. In place. */
export function failAttempt(job: Job, failure: Failure, at: Timestamp): void {
  const next = attemptAfter(job, failure);
  if (next.kind === "none") {
    failJob(job, failure, at);
  } else if (next.delaySeconds === 0) {
    requeue(job, failure.message);
  } else {
    requeue(job, `${failure.message}; tried again after ${next.delaySeconds} s`);
    job.state = JobState.WAITING;
    job.notBefore = timestampFromMs(timestampMs(at) + next.delaySeconds * 1000);
  }
}

/** Ends a job whose offer could not be made, together with the attempt. In place. */
export function refuseTask(job: Job, task: Task, message: string, at: Timestamp): void {
  endAttempt(job, task, TaskState.WITHDRAWN, undefined, at);
  failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message }), at);
}

/** Puts a job into its failed state. In place. */
export function failJob(job: Job, failure: Failure, at: Timestamp): void {
  job.state = JobState.FAILED;
  job.failure = failure;
  job.reason = failure.message;
  job.finishedAt = at;
}

function cancelJob(job: Job, reason: string, at: Timestamp): void {
  job.state = JobState.CANCELLED;
  job.reason = reason;
  job.finishedAt = at;
}

/** Sends a job back to wait for a node. In place. */
export function requeue(job: Job, reason: string): void {
  job.state = JobState.PENDING;
  job.reason = reason;
  job.steps = [];
}

/** The newest attempt of a job. */
export function currentTask(job: Job): Task | undefined {
  return job.tasks.at(-1);
}

interface Found {
  readonly job: Job;
  readonly task: Task;
}

function findTask(run: Run, event: TaskEvent): Found | undefined {
  const ref = event.ref;
  const job = run.jobs.find((candidate) => candidate.spec?.name === ref?.job);
  const task = job === undefined ? undefined : currentTask(job);
  if (job === undefined || task === undefined || ref === undefined) return undefined;
  const same = task.id === ref.taskId && task.fence === ref.fence && task.nodeId === ref.nodeId;
  return same && run.id === ref.runId ? { job, task } : undefined;
}

/** An agent's clock may be wrong: what lies before the offer or in the future is replaced. */
function plausibleTime(at: Timestamp | undefined, task: Task, now: Timestamp): Timestamp {
  if (at === undefined || at.nanos < 0 || at.nanos > 999_999_999) return now;
  const earliest = task.offeredAt === undefined ? 0 : timestampMs(task.offeredAt);
  const atMs = timestampMs(at);
  return atMs >= earliest && atMs <= timestampMs(now) ? at : now;
}

function claim(job: Job, task: Task, at: Timestamp): boolean {
  if (task.state !== TaskState.OFFERED) return false;
  task.state = TaskState.CLAIMED;
  task.claimedAt = at;
  job.state = JobState.RUNNING;
  job.reason = `running on ${task.nodeId}`;
  job.startedAt ??= at;
  return true;
}

function recordStep(job: Job, task: Task, status: StepStatus, now: Timestamp): boolean {
  const steps = job.spec?.work.case === "steps" ? job.spec.work.value.steps : [];
  const isKnown = steps.some((step) => step.name === status.name) && JobState[status.state] !== undefined;
  if (!isKnown || task.state === TaskState.OFFERED) return false;
  const { startedAt, finishedAt, ...rest } = status;
  const kept: StepStatus = {
    ...rest,
    message: clipText(status.message),
    ...(startedAt === undefined ? {} : { startedAt: plausibleTime(startedAt, task, now) }),
    ...(finishedAt === undefined ? {} : { finishedAt: plausibleTime(finishedAt, task, now) }),
  };
  const at = job.steps.findIndex((step) => step.name === status.name);
  if (at >= 0) job.steps[at] = kept;
  else job.steps.push(kept);
  return true;
}

/** States an agent may end a task in; the others are the controller's to give. */
const REPORTABLE: ReadonlySet<TaskState> = new Set([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED]);

function finish(run: Run, { job, task }: Found, finished: TaskFinished, at: Timestamp): boolean {
  if (!REPORTABLE.has(finished.state)) return false;
  // The claim is the subject's first message; a finish that overtook it in our batch is still legal.
  if (task.state === TaskState.OFFERED) claim(job, task, at);
  if (!isTransition(TASK_TRANSITIONS, task.state, finished.state)) return false;
  const excess = excessOf(finished);
  if (excess !== undefined) {
    const failure = create(FailureSchema, { class: FailureClass.INVALID, message: excess });
    endAttempt(job, task, TaskState.FAILED, failure, at);
    failJob(job, failure, at);
    return true;
  }
  // A short task tells its start and its steps only here.
  const startedAt = finished.steps[0]?.startedAt;
  if (startedAt !== undefined) task.startedAt ??= plausibleTime(startedAt, task, at);
  for (const status of finished.steps) recordStep(job, task, status, at);
  const isTold = task.ending !== undefined || task.preemptedBy !== "" || run.cancelRequested;
  if (finished.state === TaskState.CANCELLED && isTold) {
    endTold({ run, job, task }, toldReason(run, task), at);
    return true;
  }
  const failure = failureOf(finished);
  endAttempt(job, task, finished.state, failure, at);
  job.outputs = finished.outputs;
  job.metrics = finished.metrics;
  if (failure === undefined) {
    job.state = JobState.SUCCEEDED;
    job.reason = "";
    job.finishedAt = at;
  } else {
    failAttempt(job, failure, at);
  }
  return true;
}

/** Why a task was told to end, by what is true now: a run may be cancelled after it was. */
function toldReason(run: Run, task: Task): string {
  if (run.cancelRequested) return run.reason || "the run was cancelled";
  return task.preemptedBy === "" ? (task.ending?.message ?? "") : preemptionReason(task);
}

/** Why a task ended that made room. */
export function preemptionReason(task: Task): string {
  return `made room for ${task.preemptedBy}`;
}

function failureOf(finished: TaskFinished): Failure | undefined {
  if (finished.state === TaskState.SUCCEEDED) return undefined;
  const isCancelled = finished.state === TaskState.CANCELLED;
  if (finished.failure) {
    const cause = isCancelled ? FailureClass.CANCELLED : finished.failure.class;
    return { ...finished.failure, class: cause, message: clipText(finished.failure.message) };
  }
  return create(FailureSchema, {
    class: isCancelled ? FailureClass.CANCELLED : FailureClass.UNSPECIFIED,
    message: isCancelled ? "the agent gave it up" : "the agent gave no reason",
  });
}

function endAttempt(job: Job, task: Task, state: TaskState, failure: Failure | undefined, at: Timestamp): void {
  task.state = state;
  if (failure) task.failure = failure;
  task.finishedAt = at;
  if (state !== TaskState.SUCCEEDED)
    job.steps = job.steps.filter((step) => step.state === JobState.SUCCEEDED || step.state === JobState.FAILED);
}
