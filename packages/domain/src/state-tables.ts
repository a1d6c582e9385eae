import { JobState, RolloutState, RunState, TaskState } from "@kedge/proto";

type Table<S extends number> = Readonly<Partial<Record<S, readonly S[]>>>;

/** Legal moves of a task. States without a row are final. */
export const TASK_TRANSITIONS: Table<TaskState> = {
  [TaskState.OFFERED]: [TaskState.CLAIMED, TaskState.WITHDRAWN, TaskState.PREEMPTED],
  [TaskState.CLAIMED]: [
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.LOST,
    TaskState.PREEMPTED,
  ],
  [TaskState.RUNNING]: [
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.LOST,
    TaskState.PREEMPTED,
  ],
};

/** Legal moves of a job. A retry by a person starts the job over and is not a move. */
export const JOB_TRANSITIONS: Table<JobState> = {
  [JobState.WAITING]: [
    JobState.PENDING,
    JobState.BLOCKED,
    JobState.RUNNING,
    JobState.SKIPPED,
    JobState.CANCELLED,
    JobState.FAILED,
  ],
  [JobState.PENDING]: [JobState.OFFERED, JobState.FAILED, JobState.CANCELLED],
  [JobState.OFFERED]: [JobState.RUNNING, JobState.PENDING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED],
  [JobState.RUNNING]: [
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.PENDING,
    JobState.HELD,
    // Its next attempt is not due yet.
    JobState.WAITING,
  ],
  [JobState.BLOCKED]: [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED],
  [JobState.HELD]: [JobState.PENDING, JobState.FAILED, JobState.CANCELLED],
};

const ENDED_TASKS: ReadonlySet<TaskState> = new Set([
  TaskState.SUCCEEDED,
  TaskState.FAILED,
  TaskState.CANCELLED,
  TaskState.LOST,
  TaskState.WITHDRAWN,
  TaskState.PREEMPTED,
]);
const ENDED_JOBS: ReadonlySet<JobState> = new Set([
  JobState.SUCCEEDED,
  JobState.FAILED,
  JobState.CANCELLED,
  JobState.SKIPPED,
]);
const ENDED_RUNS: ReadonlySet<RunState> = new Set([RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED]);
const ENDED_ROLLOUTS: ReadonlySet<RolloutState> = new Set([RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK]);

/** Tells whether a move is in a table. */
export function isTransition<S extends number>(table: Table<S>, from: S, to: S): boolean {
  return table[from]?.includes(to) ?? false;
}

/** Tells whether a task is over: no attempt of it is under way any more. */
export const isTaskEnded = (state: TaskState): boolean => ENDED_TASKS.has(state);
/** Tells whether a job is over: it needs no more work; a held or blocked one still does. */
export const isJobEnded = (state: JobState): boolean => ENDED_JOBS.has(state);
/** Tells whether a run is over: all its jobs have ended. */
export const isRunEnded = (state: RunState): boolean => ENDED_RUNS.has(state);
/** Tells whether a rollout is over: it will never change again. */
export const isRolloutEnded = (state: RolloutState): boolean => ENDED_ROLLOUTS.has(state);
