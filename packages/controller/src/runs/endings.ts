import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded, isTaskEnded } from "@kedge/domain";
import {
  FailureClass,
  FailureSchema,
  type Job,
  type JobSpec,
  JobState,
  type Run,
  type Task,
  TaskState,
} from "@kedge/proto";
import { LEASE_MARGIN_MS, LEASE_MS } from "../nodes/registry.ts";
import { isCalling } from "./calling.ts";
import { Matrices } from "./matrix.ts";
import { currentTask, giveUp, preemptionReason } from "./task-events.ts";

const DEFAULT_TIMEOUT_SECONDS = 3600;
const DEFAULT_CLEANUP_SECONDS = 300;
/** What an agent may take to end the processes of a step. */
const STOP_GRACE_MS = 30_000;
/** An agent that was told to end a task and has not said that it did, post steps aside, is given up after this time. */
export const GIVE_UP_MS = LEASE_MS + LEASE_MARGIN_MS + STOP_GRACE_MS;

/**
 * Ends what must end, in place: tells of tasks that must end before their work is done why and since when, gives up those
 * whose nodes were told and did not answer in time, and cancels jobs that nobody carries out. Nodes that are silent lose
 * their tasks earlier, by the lease.
 *
 * @returns whether anything changed.
 */
export function endWork(run: Run, at: Timestamp): boolean {
  const matrices = new Matrices(run);
  let isChanged = false;
  for (const job of run.jobs) {
    if (!isJobEnded(job.state) && endJobWork({ run, job, matrices, at })) isChanged = true;
  }
  return isChanged;
}

function endJobWork(context: Context): boolean {
  const { run, job, matrices, at } = context;
  const task = currentTask(job);
  if (task !== undefined && !isTaskEnded(task.state)) return endTask(context, task);
  const reason = run.cancelRequested ? cancelReason(run) : siblingReason(matrices.failedSibling(job));
  if (reason === undefined || isDeploying(job) || isCalling(job)) return false;
  job.state = JobState.CANCELLED;
  job.reason = reason;
  job.finishedAt = at;
  return true;
}

function endTask(context: Context, task: Task): boolean {
  const { run, job, at } = context;
  if (task.ending === undefined) {
    const cause = endingCause(context, task);
    if (cause === undefined) return false;
    task.ending = cause;
    task.endingSince = at;
    return true;
  }
  if (task.state === TaskState.OFFERED || timestampMs(at) < givenUpAtMs(job, task)) return false;
  const seconds = Math.round((timestampMs(at) - timestampMs(task.endingSince ?? at)) / 1000);
  const truth = `node ${task.nodeId} was told to end it and has not for ${seconds} s: given up, it may still run there`;
  giveUp({ run, job, task }, `${task.ending.message}; ${truth}`, at);
  return true;
}

/** When a task is next looked at for its end: the node is overdue to end it, or to answer that it did. */
export function endingDeadlineMs(job: Job): number | undefined {
  const task = currentTask(job);
  if (task === undefined || isTaskEnded(task.state) || task.state === TaskState.OFFERED) return undefined;
  return task.ending === undefined ? overdueAtMs(job, task) : givenUpAtMs(job, task);
}

/** Tasks of the run that an agent holds or has been offered. */
export function activeTasks(run: Run): { readonly job: Job; readonly task: Task }[] {
  return run.jobs.flatMap((job) => {
    const task = currentTask(job);
    return task === undefined || isTaskEnded(task.state) ? [] : [{ job, task }];
  });
}

interface Context {
  readonly run: Run;
  readonly job: Job;
  readonly matrices: Matrices;
  readonly at: Timestamp;
}

function endingCause({ run, job, matrices, at }: Context, task: Task): Task["ending"] {
  if (run.cancelRequested) return cancelled(cancelReason(run));
  if (task.preemptedBy !== "") return cancelled(preemptionReason(task));
  const reason = siblingReason(matrices.failedSibling(job));
  if (reason !== undefined) return cancelled(reason);
  if (task.state === TaskState.OFFERED || timestampMs(at) < overdueAtMs(job, task)) return undefined;
  const message = `it took longer than ${timeoutSeconds(job.spec)} s, and its node did not end it`;
  return create(FailureSchema, { class: FailureClass.TIMEOUT, message });
}

/** Its rollout goes on until that is told to end. */
function isDeploying(job: Job): boolean {
  return job.state === JobState.RUNNING && job.spec?.work.case === "deploy" && job.deployedRevision > 0;
}

/** Its node ends it after its time limit and its post steps; this much later nobody expects that any more. */
function overdueAtMs(job: Job, task: Task): number {
  const since = task.claimedAt ?? task.offeredAt;
  const claimedMs = since === undefined ? 0 : timestampMs(since);
  return claimedMs + timeoutSeconds(job.spec) * 1000 + cleanupMs(job.spec) + GIVE_UP_MS;
}

function givenUpAtMs(job: Job, task: Task): number {
  return task.endingSince === undefined ? 0 : timestampMs(task.endingSince) + cleanupMs(job.spec) + GIVE_UP_MS;
}

function timeoutSeconds(spec: JobSpec | undefined): number {
  return spec?.timeoutSeconds || DEFAULT_TIMEOUT_SECONDS;
}

/** Post steps run after a cancel, too. */
function cleanupMs(spec: JobSpec | undefined): number {
  if (spec === undefined || spec.post.length === 0) return 0;
  return (spec.cleanupTimeoutSeconds || DEFAULT_CLEANUP_SECONDS) * 1000;
}

function cancelReason(run: Run): string {
  return run.reason || "the run was cancelled";
}

function siblingReason(failed: Job | undefined): string | undefined {
  return failed && `${failed.spec?.name} failed, and the matrix is fail-fast`;
}

function cancelled(message: string): Task["ending"] {
  return create(FailureSchema, { class: FailureClass.CANCELLED, message });
}
