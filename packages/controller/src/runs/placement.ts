import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded, isTaskEnded, KedgeError } from "@kedge/domain";
import {
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  NodeState,
  type Run,
  type Task,
  TaskSchema,
  TaskState,
} from "@kedge/proto";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Grant } from "../scheduling/grants.ts";
import { nextAttempt } from "../scheduling/job-demand.ts";
import type { Scheduling } from "../scheduling/scheduling.ts";
import { currentTask, failJob, loseTask } from "./task-events.ts";

/** How long a node that answers may not know a task it claimed before the task counts as lost. */
const FORGOTTEN_AFTER_MS = 15_000;

/** Offers that were taken back are forgotten beyond this many attempts, so that a node that never claims fills no document. */
const MAX_TASKS = 100;

/** Offers the pending jobs that have room, in place; gives how many. */
export function offerJobs(run: Run, room: ReadonlyMap<string, Grant>, at: Timestamp): number {
  let count = 0;
  for (const job of run.jobs) {
    const grant = room.get(job.spec?.name ?? "");
    if (grant === undefined || job.state !== JobState.PENDING) continue;
    const { taskId: id, nodeId, gpuIndices } = grant;
    const { fence } = nextAttempt(run, job);
    forgetOldOffers(job);
    const task = { id, nodeId, fence, state: TaskState.OFFERED, offeredAt: at, gpuIndices: [...gpuIndices] };
    job.tasks.push(create(TaskSchema, task));
    job.state = JobState.OFFERED;
    job.reason = `offered to ${nodeId}`;
    delete job.pending;
    count++;
  }
  return count;
}

/** Says of the pending jobs why they wait, and fails those that no node could ever take, in place. */
export function explainWaiting(run: Run, at: Timestamp, scheduling: Scheduling): void {
  for (const job of run.jobs) {
    if (job.state !== JobState.PENDING || job.spec === undefined) continue;
    const impossible = scheduling.impossible(run, job.spec);
    if (impossible !== undefined) {
      job.pending = impossible;
      failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message: impossible.summary }), at);
      continue;
    }
    // Kept as first found while it stays true in kind: free amounts change with every job that ends.
    if (job.pending?.impossible === false) continue;
    job.pending = scheduling.reasonFor(run, job.spec);
    job.reason = [job.reason, job.pending.summary].filter((text) => text !== "").join("; ");
  }
}

/**
 * Refuses a run with a job that no node there is could ever take.
 *
 * @throws KedgeError JOB_IMPOSSIBLE, naming the job and what is short.
 */
export function assertPossible(run: Run, scheduling: Scheduling): void {
  for (const { spec, state } of run.jobs) {
    if (spec?.work.case !== "steps" || isJobEnded(state)) continue;
    const impossible = scheduling.impossible(run, spec);
    if (impossible === undefined) continue;
    throw new KedgeError("JOB_IMPOSSIBLE", `job ${spec.name}: ${impossible.summary}`, {
      field: `jobs.${spec.name}`,
      hint: "ask for less, or join a node that has it",
    });
  }
}

/** Notes on the tasks that have to end for whom they make room, in place; gives the jobs for which that is news. */
export function preemptTasks(run: Run, orders: ReadonlyMap<string, string>): Job[] {
  const preempted: Job[] = [];
  for (const job of run.jobs) {
    const task = currentTask(job);
    const preemptedBy = task && orders.get(task.id);
    if (task === undefined || preemptedBy === undefined || isTaskEnded(task.state) || task.preemptedBy !== "") continue;
    task.preemptedBy = preemptedBy;
    job.reason = `has to make room for ${preemptedBy}`;
    preempted.push(job);
  }
  return preempted;
}

function forgetOldOffers(job: Job): void {
  while (job.tasks.length >= MAX_TASKS) {
    const at = job.tasks.findIndex(({ state }) => state === TaskState.WITHDRAWN || state === TaskState.PREEMPTED);
    job.tasks.splice(Math.max(0, at), 1);
  }
}

/** An attempt whose node is gone or no longer knows it. */
export interface LostAttempt {
  readonly job: Job;
  readonly task: Task;
  readonly reason: string;
}

/** The attempts that look lost. They may have ended all the same, and the event be unread: ask the stream first. */
export function lostAttempts(run: Run, at: Timestamp, registry: NodeRegistry): LostAttempt[] {
  return run.jobs.flatMap((job) => {
    const task = currentTask(job);
    if (task === undefined || isTaskEnded(task.state) || task.state === TaskState.OFFERED) return [];
    const reason = lostReason(task, timestampMs(at), registry);
    return reason === undefined ? [] : { job, task, reason };
  });
}

/** Ends the attempts that are lost, in place; gives the ids of their nodes. */
export function loseTasks(run: Run, at: Timestamp, registry: NodeRegistry): string[] {
  return lostAttempts(run, at, registry).map(({ job, task, reason }) => {
    loseTask(job, task, reason, at);
    return task.nodeId;
  });
}

function lostReason(task: Task, nowMs: number, registry: NodeRegistry): string | undefined {
  const offeredAtMs = task.offeredAt === undefined ? nowMs : timestampMs(task.offeredAt);
  if (registry.isLeaseExpired(task.nodeId, offeredAtMs)) return `node ${task.nodeId} is lost: its lease ran out`;
  const silentMs = nowMs - Math.max(offeredAtMs, registry.lastListedMs(task.nodeId, task.id));
  const forgotten = registry.state(task.nodeId) === NodeState.READY && silentMs > FORGOTTEN_AFTER_MS;
  return forgotten ? `node ${task.nodeId} no longer knows the task` : undefined;
}
