import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isRunEnded } from "@kedge/domain";
import { type Job, JobState, type Run, RunState, TaskState } from "@kedge/proto";
import { approvalDeadline } from "./approvals.ts";
import { endingDeadlineMs } from "./endings.ts";

const HOUR_SECONDS = 3600;

/** Tells whether nothing of the run may begin: a person, or other runs of its group, come first. */
export function isHeldBack(run: Run): boolean {
  return run.state === RunState.BLOCKED || run.state === RunState.QUEUED;
}

/** When the run should be looked at again although nothing happens; undefined: never. */
export function nextDeadlineMs(run: Run): number | undefined {
  if (isRunEnded(run.state) || isHeldBack(run)) return undefined;
  let nextMs = runDeadlineMs(run);
  for (const job of run.jobs) {
    const times = [jobDeadline(job)?.atMs, endingDeadlineMs(job), dueMs(job)];
    for (const atMs of times) if (atMs !== undefined && atMs < nextMs) nextMs = atMs;
  }
  return nextMs;
}

/** When a person or a node must have taken the job, and what to say if not; undefined while it waits for neither. */
export function jobDeadline(job: Job): { atMs: number; message: string } | undefined {
  if (job.readyAt === undefined) return undefined;
  const approval = approvalDeadline(job);
  if (approval !== undefined) return approval;
  const queueSeconds = job.spec?.queueTimeoutSeconds ?? 0;
  if (job.state !== JobState.PENDING || queueSeconds === 0) return undefined;
  return { atMs: queuedSinceMs(job) + queueSeconds * 1000, message: `no node had room within ${queueSeconds} s` };
}

/**
 * Since when a pending job waits for room: its needs were done, its last attempt ended, or its next one was due; offers
 * that were taken back do not count.
 */
export function queuedSinceMs(job: Job): number {
  const last = job.tasks.findLast((task) => task.state !== TaskState.WITHDRAWN)?.finishedAt;
  return Math.max(msOf(job.readyAt), msOf(last), msOf(job.notBefore));
}

/** Counts from the start of the first job, or from the latest retry; before that from when it was let begin. */
export function runDeadlineMs(run: Run): number {
  return msOf(run.startedAt ?? run.releasedAt ?? run.createdAt) + (run.timeoutSeconds || HOUR_SECONDS) * 1000;
}

/** When the next attempt of a job is due. */
function dueMs(job: Job): number | undefined {
  return job.state === JobState.WAITING && job.notBefore !== undefined ? timestampMs(job.notBefore) : undefined;
}

function msOf(at: Timestamp | undefined): number {
  return at === undefined ? 0 : timestampMs(at);
}
