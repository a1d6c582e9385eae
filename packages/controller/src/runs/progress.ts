import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded, isRunEnded, isTaskEnded } from "@kedge/domain";
import {
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  type Run,
  RunState,
  type Task,
  TaskState,
} from "@kedge/proto";
import { type BaselineLookup, evaluateGate } from "./gate.ts";
import { resolveProblem } from "./resolve-context.ts";
import { currentTask, failJob } from "./task-events.ts";

const APPROVAL_TIMEOUT_SECONDS = 24 * 3600;
const HOUR_SECONDS = 3600;

/**
 * Moves every job on as far as it can go without an agent: needs, gates, approvals' and queue time-outs, the end of
 * the run. In place; running it twice changes nothing.
 */
export function progressRun(run: Run, at: Timestamp, baseline: BaselineLookup): void {
  if (isRunEnded(run.state)) return;
  if (run.cancelRequested) cancelIdleJobs(run, at);
  expireJobs(run, at);
  const jobs = new Map(run.jobs.map((job) => [job.spec?.name ?? "", job]));
  // Jobs are in topological order, so one pass sees every effect of an earlier job.
  for (const job of run.jobs) if (job.state === JobState.WAITING) startIfReady(job, { run, jobs, at, baseline });
  if (
    run.state === RunState.PENDING &&
    run.jobs.some((job) => job.state === JobState.RUNNING || isJobEnded(job.state))
  ) {
    run.state = RunState.RUNNING;
    run.startedAt = at;
  }
  endRun(run, at);
}

/** When the run should be looked at again although nothing happens; undefined: never. */
export function nextDeadlineMs(run: Run): number | undefined {
  if (isRunEnded(run.state)) return undefined;
  const deadlines = run.jobs.map((job) => jobDeadline(job)?.atMs).filter((deadline) => deadline !== undefined);
  return Math.min(...deadlines, runDeadlineMs(run));
}

interface StartContext {
  readonly run: Run;
  readonly jobs: ReadonlyMap<string, Job>;
  readonly at: Timestamp;
  readonly baseline: BaselineLookup;
}

function startIfReady(job: Job, { run, jobs, at, baseline }: StartContext): void {
  const needed = (job.spec?.needs ?? []).map((name) => jobs.get(name)).filter((need) => need !== undefined);
  const broken = needed.find((need) => isJobEnded(need.state) && !isGood(need));
  if (broken) {
    job.state = JobState.SKIPPED;
    job.reason = `${broken.spec?.name} did not succeed`;
    job.finishedAt = at;
    return;
  }
  if (!needed.every(isGood)) return;
  job.readyAt = at;
  // Everything it refers to has ended, so what is missing now will never come.
  const problem = resolveProblem(run, job);
  if (problem !== undefined) {
    failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message: problem }), at);
    return;
  }
  const work = job.spec?.work;
  switch (work?.case) {
    case "steps":
      job.state = JobState.PENDING;
      return;
    case "approval":
      job.state = JobState.BLOCKED;
      job.reason = work.value.message || "waits for an approval";
      return;
    case "gate":
      job.startedAt = at;
      job.gateResults = evaluateGate(work.value, { needed, all: [...jobs.values()] }, baseline);
      closeGate(job, at);
      return;
    case "deploy":
      job.state = JobState.RUNNING;
      job.startedAt = at;
      job.reason = `deploying ${work.value.deployment?.name}`;
      return;
    case "call":
    case "notify":
      failJob(
        job,
        create(FailureSchema, { class: FailureClass.INVALID, message: `${work.case} is not known here` }),
        at,
      );
      return;
    case undefined:
      failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message: "the job has no work" }), at);
      return;
    default:
      work satisfies never;
  }
}

function closeGate(job: Job, at: Timestamp): void {
  const failed = job.gateResults.filter((result) => !result.passed);
  if (failed.length > 0) {
    const message = failed.map((result) => result.message).join("; ");
    failJob(job, create(FailureSchema, { class: FailureClass.GATE, message }), at);
    return;
  }
  job.state = JobState.SUCCEEDED;
  job.reason = job.gateResults.map((result) => result.message).join("; ");
  job.finishedAt = at;
}

const isGood = (job: Job): boolean =>
  job.state === JobState.SUCCEEDED || (job.state === JobState.FAILED && job.spec?.allowFailure === true);

function cancelIdleJobs(run: Run, at: Timestamp): void {
  for (const job of run.jobs) {
    const task = currentTask(job);
    const onAgent = task !== undefined && !isTaskEnded(task.state);
    const deploying = job.state === JobState.RUNNING && job.spec?.work.case === "deploy" && job.deployedRevision > 0;
    if (isJobEnded(job.state) || onAgent || deploying) continue;
    job.state = JobState.CANCELLED;
    job.reason = run.reason || "the run was cancelled";
    job.finishedAt = at;
  }
}

function expireJobs(run: Run, at: Timestamp): void {
  const nowMs = timestampMs(at);
  for (const job of run.jobs) {
    const deadline = jobDeadline(job);
    if (deadline === undefined || nowMs < deadline.atMs) continue;
    failJob(job, create(FailureSchema, { class: FailureClass.TIMEOUT, message: deadline.message }), at);
  }
  if (nowMs >= runDeadlineMs(run) && !run.cancelRequested) {
    run.cancelRequested = true;
    run.reason = `the run took longer than ${run.timeoutSeconds} s`;
    cancelIdleJobs(run, at);
  }
}

function jobDeadline(job: Job): { atMs: number; message: string } | undefined {
  if (job.readyAt === undefined) return undefined;
  const readyMs = timestampMs(job.readyAt);
  if (job.state === JobState.BLOCKED && job.spec?.work.case === "approval") {
    const seconds = job.spec.work.value.timeoutSeconds || APPROVAL_TIMEOUT_SECONDS;
    return { atMs: readyMs + seconds * 1000, message: `nobody approved it within ${seconds} s` };
  }
  const queueSeconds = job.spec?.queueTimeoutSeconds ?? 0;
  if (job.state !== JobState.PENDING || queueSeconds === 0) return undefined;
  // After a lost attempt it queues anew.
  const lastEnd = job.tasks.findLast((task) => task.state !== TaskState.WITHDRAWN)?.finishedAt;
  const queuedMs = lastEnd === undefined ? readyMs : Math.max(readyMs, timestampMs(lastEnd));
  return { atMs: queuedMs + queueSeconds * 1000, message: `no node had room within ${queueSeconds} s` };
}

/** Counts from the start of the first job, or from the latest retry; before that from the submission. */
function runDeadlineMs(run: Run): number {
  const since = run.startedAt ?? run.createdAt;
  return (since === undefined ? 0 : timestampMs(since)) + (run.timeoutSeconds || HOUR_SECONDS) * 1000;
}

function endRun(run: Run, at: Timestamp): void {
  if (!run.jobs.every((job) => isJobEnded(job.state))) return;
  const failed = run.jobs.find((job) => job.state === JobState.FAILED && !job.spec?.allowFailure);
  if (failed) {
    run.state = RunState.FAILED;
    run.reason = `${failed.spec?.name}: ${failed.reason}`;
  } else if (run.jobs.some((job) => job.state === JobState.CANCELLED)) {
    run.state = RunState.CANCELLED;
  } else {
    run.state = RunState.SUCCEEDED;
  }
  run.finishedAt = at;
}

/** Tasks of the run that an agent holds or has been offered. */
export function activeTasks(run: Run): { readonly job: Job; readonly task: Task }[] {
  return run.jobs.flatMap((job) => {
    const task = currentTask(job);
    return task === undefined || isTaskEnded(task.state) ? [] : [{ job, task }];
  });
}
