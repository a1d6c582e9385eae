import { create, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded } from "@kedge/domain";
import { type Job, type JobSpec, JobSpecSchema, LostPolicy, type Run, RuntimeKind, type Task } from "@kedge/proto";
import type { Artifact, Demand, RunningJob, WaitingJob } from "@kedge/scheduler";
import { queuedSinceMs } from "../runs/deadlines.ts";
import { currentTask } from "../runs/task-events.ts";
import { jobResources } from "./job-resources.ts";

/** Team of runs that were submitted without one. */
export const DEFAULT_TEAM = "default";

const DEFAULT_LIMIT_SECONDS = 3600;

/** What a job belongs to. */
export interface JobOwner {
  readonly runId: string;
  readonly pipeline: string;
  /** Bytes of an image; 0 when nobody knows. */
  readonly bytesOf: (image: string) => number;
}

/** The demand a job makes on the scheduler. */
export function jobDemand(key: string, spec: JobSpec, { runId, pipeline, bytesOf }: JobOwner): Demand {
  const { placement } = spec;
  const hasCopies = placement?.spread !== undefined || placement?.distinctNodes === true;
  return {
    key,
    resources: jobResources(spec),
    placement,
    runtime: jobRuntime(spec),
    ...(hasCopies ? { spreadKey: `${runId}/${spec.gang}` } : {}),
    workload: `${pipeline}/${spec.name}`,
    artifacts: jobImages(spec).map((name): Artifact => ({ name, bytes: bytesOf(name) })),
  };
}

/** The runtime a job needs: what it says, else Docker when any step uses an image. */
export function jobRuntime(spec: JobSpec): RuntimeKind {
  if (spec.runtime !== RuntimeKind.UNSPECIFIED) return spec.runtime;
  const steps = spec.work.case === "steps" ? spec.work.value.steps : [];
  const isDocker = steps.some((step) => step.action.case === "build") || jobImages(spec).length > 0;
  return isDocker ? RuntimeKind.DOCKER : RuntimeKind.PROCESS;
}

function jobImages(spec: JobSpec): string[] {
  const steps = spec.work.case === "steps" ? spec.work.value.steps : [];
  const all = [...steps, ...spec.post.flatMap(({ step }) => step ?? [])];
  const own = all.map((step) => (step.action.case === "run" ? step.action.value.image : ""));
  const images = [...own, spec.image, ...spec.services.map(({ image }) => image)];
  return [...new Set(images.filter((image) => image !== ""))];
}

/** What a job asks of a node, as a text that is the same for jobs that ask the same. */
export function demandText(spec: JobSpec): string {
  const asked = create(JobSpecSchema, { runtime: jobRuntime(spec) });
  const resources = jobResources(spec);
  if (resources !== undefined) asked.resources = resources;
  if (spec.placement !== undefined) asked.placement = spec.placement;
  return Buffer.from(toBinary(JobSpecSchema, asked)).toString("latin1");
}

/** "<run>/<job>", as people are told of it. */
export function jobName(run: Run, job: Job): string {
  return `${run.id}/${job.spec?.name ?? ""}`;
}

/** Fence and id of the job's next attempt. */
export function nextAttempt(run: Run, job: Job): { readonly fence: number; readonly taskId: string } {
  const fence = (currentTask(job)?.fence ?? 0) + 1;
  return { fence, taskId: `${run.id}-${job.spec?.name ?? ""}-${fence}` };
}

/** A pending job as admission takes it. */
export function waitingJob(run: Run, job: Job, spec: JobSpec, bytesOf: JobOwner["bytesOf"]): WaitingJob {
  const { taskId } = nextAttempt(run, job);
  const { concurrency, finishWithinSeconds } = spec;
  return {
    key: taskId,
    name: jobName(run, job),
    demand: jobDemand(taskId, spec, { runId: run.id, pipeline: run.pipeline, bytesOf }),
    team: run.team || DEFAULT_TEAM,
    priority: spec.priority,
    waitingSinceMs: queuedSinceMs(job),
    ...(finishWithinSeconds === 0 ? {} : { deadlineMs: msOf(run.createdAt) + finishWithinSeconds * 1000 }),
    limitMs: limitMs(spec),
    preemptible: isPreemptible(spec),
    ...(spec.gang === "" ? {} : { gang: { id: `${run.id}/${spec.gang}`, members: gangMembers(run, spec.gang) } }),
    ...(concurrency === undefined ? {} : { concurrency: { group: concurrency.name, limit: concurrency.limit || 1 } }),
  };
}

/** A job that holds room as admission takes it. */
export function runningJob(run: Run, job: Job, task: Task, bytesOf: JobOwner["bytesOf"]): RunningJob | undefined {
  const { spec } = job;
  if (spec === undefined) return undefined;
  return {
    key: task.id,
    name: jobName(run, job),
    nodeId: task.nodeId,
    demand: jobDemand(task.id, spec, { runId: run.id, pipeline: run.pipeline, bytesOf }),
    team: run.team || DEFAULT_TEAM,
    priority: spec.priority,
    startedAtMs: msOf(task.offeredAt),
    limitMs: limitMs(spec),
    preemptible: isPreemptible(spec),
    ...(spec.concurrency === undefined ? {} : { concurrencyGroup: spec.concurrency.name }),
    ...(task.preemptedBy === "" ? {} : { preemptedBy: task.preemptedBy }),
  };
}

/** Names of the gang's jobs that have not ended. */
function gangMembers(run: Run, gang: string): string[] {
  const members = run.jobs.filter((job) => job.spec?.gang === gang && !isJobEnded(job.state));
  return members.map((job) => jobName(run, job));
}

/** Tells whether a job may be ended and tried again: what it did counts only when it is done. */
export function isPreemptible(spec: JobSpec): boolean {
  return (spec.onLost || LostPolicy.RETRY) === LostPolicy.RETRY;
}

function limitMs(spec: JobSpec): number {
  return (spec.timeoutSeconds || DEFAULT_LIMIT_SECONDS) * 1000;
}

function msOf(at: Timestamp | undefined): number {
  return at === undefined ? 0 : timestampMs(at);
}
