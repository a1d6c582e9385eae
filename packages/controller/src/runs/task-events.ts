import { create } from "@bufbuild/protobuf";
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

const DEFAULT_MAX_ATTEMPTS = 3;

/**
 * Applies one task event to a run, in place. Events of another attempt, of an attempt that has ended, or that the
 * task's state does not allow are ignored: agents may repeat themselves, be late, or lie.
 *
 * @returns whether anything changed.
 */
export function applyTaskEvent(run: Run, event: TaskEvent): boolean {
  const found = findTask(run, event);
  if (found === undefined || isTaskEnded(found.task.state)) return false;
  const { job, task } = found;
  switch (event.event.case) {
    case "claimed":
      return claim(job, task, event);
    case "started":
      if (task.state !== TaskState.CLAIMED) return false;
      task.state = TaskState.RUNNING;
      if (event.at) task.startedAt = event.at;
      return true;
    case "step":
      return recordStep(job, event.event.value);
    case "finished":
      return finish(job, task, event, event.event.value);
    case "withdrawn":
      if (task.state !== TaskState.OFFERED) return false;
      endAttempt(job, task, TaskState.WITHDRAWN, undefined, event.at);
      requeue(job, event.event.value.reason);
      return true;
    case undefined:
      return false;
    default:
      return event.event satisfies never;
  }
}

/** Ends a job's current attempt because its node is gone; its policy decides what comes next. In place. */
export function loseTask(job: Job, task: Task, message: string, at: Task["finishedAt"]): void {
  const failure = create(FailureSchema, { class: FailureClass.LOST_AGENT, message });
  endAttempt(job, task, TaskState.LOST, failure, at);
  const policy = job.spec?.onLost || LostPolicy.RETRY;
  if (policy === LostPolicy.HOLD) {
    job.state = JobState.HELD;
    job.reason = `${message}; held for a person to retry or cancel`;
  } else if (policy === LostPolicy.RETRY && attemptsLeft(job)) {
    requeue(job, message);
  } else {
    failJob(job, failure, at);
  }
}

/** Puts a job into its failed state. In place. */
export function failJob(job: Job, failure: Failure, at: Job["finishedAt"]): void {
  job.state = JobState.FAILED;
  job.failure = failure;
  job.reason = failure.message;
  if (at) job.finishedAt = at;
}

/** The newest attempt of a job. */
export function currentTask(job: Job): Task | undefined {
  return job.tasks.at(-1);
}

function findTask(run: Run, event: TaskEvent): { job: Job; task: Task } | undefined {
  const ref = event.ref;
  const job = run.jobs.find((candidate) => candidate.spec?.name === ref?.job);
  const task = job === undefined ? undefined : currentTask(job);
  if (job === undefined || task === undefined || ref === undefined) return undefined;
  const same = task.id === ref.taskId && task.fence === ref.fence && task.nodeId === ref.nodeId;
  return same ? { job, task } : undefined;
}

function claim(job: Job, task: Task, event: TaskEvent): boolean {
  if (task.state !== TaskState.OFFERED) return false;
  task.state = TaskState.CLAIMED;
  job.state = JobState.RUNNING;
  job.reason = `running on ${task.nodeId}`;
  if (event.at) {
    task.claimedAt = event.at;
    job.startedAt ??= event.at;
  }
  return true;
}

function recordStep(job: Job, status: StepStatus): boolean {
  const at = job.steps.findIndex((step) => step.name === status.name);
  if (at >= 0) job.steps[at] = status;
  else if (job.steps.length < 1000) job.steps.push(status);
  return true;
}

function finish(job: Job, task: Task, event: TaskEvent, finished: TaskFinished): boolean {
  // The claim is the subject's first message; a finish that overtook it in our batch is still legal.
  const from = task.state === TaskState.OFFERED ? TaskState.CLAIMED : task.state;
  if (!isTransition(TASK_TRANSITIONS, from, finished.state)) return false;
  endAttempt(job, task, finished.state, finished.failure, event.at);
  job.outputs = { ...job.outputs, ...finished.outputs };
  job.metrics = { ...job.metrics, ...finished.metrics };
  if (finished.state === TaskState.SUCCEEDED) {
    job.state = JobState.SUCCEEDED;
    job.reason = "";
    if (event.at) job.finishedAt = event.at;
  } else if (finished.state === TaskState.CANCELLED) {
    job.state = JobState.CANCELLED;
    job.reason = finished.failure?.message ?? "cancelled";
    if (event.at) job.finishedAt = event.at;
  } else {
    const failure = finished.failure ?? create(FailureSchema, { message: "the agent gave no reason" });
    if (failure.class === FailureClass.INFRASTRUCTURE && attemptsLeft(job)) requeue(job, failure.message);
    else failJob(job, failure, event.at);
  }
  return true;
}

function endAttempt(
  job: Job,
  task: Task,
  state: TaskState,
  failure: Failure | undefined,
  at: Task["finishedAt"],
): void {
  task.state = state;
  if (failure) task.failure = failure;
  if (at) task.finishedAt = at;
  if (state !== TaskState.SUCCEEDED)
    job.steps = job.steps.filter((step) => step.state === JobState.SUCCEEDED || step.state === JobState.FAILED);
}

function requeue(job: Job, reason: string): void {
  job.state = JobState.PENDING;
  job.reason = reason;
  job.steps = [];
}

function attemptsLeft(job: Job): boolean {
  const spent = job.tasks.filter((task) => task.state !== TaskState.WITHDRAWN).length;
  return spent < (job.spec?.maxAttempts || DEFAULT_MAX_ATTEMPTS);
}
