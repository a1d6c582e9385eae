import { clone, create, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isTaskEnded, KedgeError } from "@kedge/domain";
import {
  FailureClass,
  FailureSchema,
  type Job,
  type JobSpec,
  JobSpecSchema,
  JobState,
  NodeState,
  type Run,
  RunSchema,
  RuntimeKind,
  type Task,
  TaskSchema,
  TaskState,
} from "@kedge/proto";
import { type Demand, explain, place } from "@kedge/scheduler";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import { currentTask, failJob, loseTask } from "./task-events.ts";

/** How long a node that answers may not know a task it claimed before the task counts as lost. */
const FORGOTTEN_AFTER_MS = 15_000;

/** The demand a job makes on the scheduler. */
export function jobDemand(key: string, spec: JobSpec): Demand {
  const steps = spec.work.case === "steps" ? spec.work.value.steps : [];
  const images = steps.map((step) => (step.action.case === "run" ? step.action.value.image : "")).concat(spec.image);
  return {
    key,
    resources: spec.resources,
    placement: spec.placement,
    runtime: jobRuntime(spec),
    images: images.filter((image) => image !== ""),
  };
}

/** What the run's pending jobs ask of a node, one text for each different demand: what fits one fits all of its text. */
export function pendingDemands(run: Run): Set<string> {
  const waiting = run.jobs.filter((job) => job.state === JobState.PENDING);
  return new Set(waiting.flatMap(({ spec }) => (spec === undefined ? [] : [demandText(spec)])));
}

function demandText(spec: JobSpec): string {
  const asked = create(JobSpecSchema, { runtime: jobRuntime(spec) });
  if (spec.resources !== undefined) asked.resources = spec.resources;
  if (spec.placement !== undefined) asked.placement = spec.placement;
  return Buffer.from(toBinary(JobSpecSchema, asked)).toString("base64");
}

/** The runtime a job needs: what it says, else Docker when any step uses an image. */
export function jobRuntime(spec: JobSpec): RuntimeKind {
  if (spec.runtime !== RuntimeKind.UNSPECIFIED) return spec.runtime;
  const steps = spec.work.case === "steps" ? spec.work.value.steps : [];
  const needsDocker =
    spec.image !== "" ||
    steps.some(
      (step) => step.action.case === "build" || (step.action.case === "run" && step.action.value.image !== ""),
    );
  return needsDocker ? RuntimeKind.DOCKER : RuntimeKind.PROCESS;
}

/** Offers that were taken back are forgotten beyond this many attempts, so that a node that never claims fills no document. */
const MAX_TASKS = 100;

/** Places every pending job of the run for which there is room, in place, and reserves the room. */
export function placeJobs(run: Run, at: Timestamp, book: CapacityBook): void {
  for (const job of run.jobs) {
    if (job.state !== JobState.PENDING || job.spec === undefined) continue;
    const fence = (currentTask(job)?.fence ?? 0) + 1;
    const taskId = `${run.id}-${job.spec.name}-${fence}`;
    const demand = jobDemand(taskId, job.spec);
    const result = place(book.cluster, demand);
    if (result.kind === "unplaced") {
      // Kept as first found while it stays true in kind: free amounts change with every job that ends.
      if (job.pending?.impossible !== result.explanation.impossible) job.pending = explain(book.cluster, demand);
      job.reason = job.pending.summary;
      if (job.pending.impossible && book.knowsEveryNode()) {
        failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message: job.reason }), at);
      }
      continue;
    }
    book.reserveTask(run.id, result.nodeId, taskId, job.spec.resources, result.gpuIndices);
    forgetOldOffers(job);
    job.tasks.push(
      create(TaskSchema, { id: taskId, nodeId: result.nodeId, fence, state: TaskState.OFFERED, offeredAt: at }),
    );
    job.state = JobState.OFFERED;
    job.reason = `offered to ${result.nodeId}`;
    delete job.pending;
  }
}

/**
 * Refuses a run with a job that no node there is could ever take.
 *
 * @throws KedgeError JOB_IMPOSSIBLE, naming the job and what is short.
 */
export function assertPossible(run: Run, book: CapacityBook): void {
  if (!book.knowsEveryNode()) return;
  for (const { spec } of run.jobs) {
    if (spec?.work.case !== "steps") continue;
    const explanation = explain(book.cluster, jobDemand(spec.name, spec));
    if (!explanation.impossible) continue;
    throw new KedgeError("JOB_IMPOSSIBLE", `job ${spec.name}: ${explanation.summary}`, {
      field: `jobs.${spec.name}`,
      hint: "ask for less, or join a node that has it",
    });
  }
}

/** Why the pending jobs of a run wait, as of now, in a copy; what is stored may be older. */
export function withCurrentReasons(run: Run, book: CapacityBook): Run {
  if (!run.jobs.some((job) => job.state === JobState.PENDING)) return run;
  const shown = clone(RunSchema, run);
  for (const job of shown.jobs) {
    if (job.state !== JobState.PENDING || job.spec === undefined) continue;
    job.pending = explain(book.cluster, jobDemand(job.spec.name, job.spec));
    job.reason = job.pending.summary;
  }
  return shown;
}

function forgetOldOffers(job: Job): void {
  while (job.tasks.length >= MAX_TASKS) {
    const at = job.tasks.findIndex((task) => task.state === TaskState.WITHDRAWN);
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
