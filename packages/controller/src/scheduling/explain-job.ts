import { clone } from "@bufbuild/protobuf";
import { isJobEnded, isTaskEnded, KedgeError } from "@kedge/domain";
import {
  type ExplainJobResponse,
  type Job,
  type JobSpec,
  JobState,
  type PlacementExplanation,
  type QueueEntry,
  type Run,
  RunSchema,
} from "@kedge/proto";
import { explain } from "@kedge/scheduler";
import { currentTask } from "../runs/task-events.ts";
import { jobDemand, jobName } from "./job-demand.ts";
import { withRoomFree } from "./own-room.ts";
import { currentReason, queueEntry, withHeldBack } from "./queue-entry.ts";
import type { Scheduling } from "./scheduling.ts";

/** The account of one job. */
export type JobAccount = Pick<ExplainJobResponse, "explanation" | "queue" | "lines">;

/**
 * Where a job is or would go, and why: by the functions that decide, over the cluster as it is now.
 *
 * @throws KedgeError INVALID_FIELD for a job that holds no node.
 */
export function explainJob(run: Run, job: Job, scheduling: Scheduling): JobAccount {
  const { spec } = job;
  if (spec?.work.case !== "steps") {
    throw new KedgeError("INVALID_FIELD", `job ${spec?.name} holds no node: only jobs with steps are placed`, {
      field: "job",
    });
  }
  const explanation = explainPlacement(run, job, spec, scheduling);
  const waiting = scheduling.waiting(jobName(run, job));
  const queue = waiting && queueEntry(waiting, run, scheduling);
  return {
    explanation,
    ...(queue === undefined ? {} : { queue }),
    lines: [stateLine(job), ...queueLines(queue, scheduling.queue.length), ...placementLines(job, explanation)],
  };
}

/** Why the pending jobs of a run wait, as of now, in a copy; what is stored may be older. */
export function withCurrentReasons(run: Run, scheduling: Scheduling): Run {
  if (!run.jobs.some((job) => job.state === JobState.PENDING)) return run;
  const shown = clone(RunSchema, run);
  for (const job of shown.jobs) {
    if (job.state !== JobState.PENDING || job.spec === undefined) continue;
    const full = scheduling.reasons.full(job.spec, scheduling.ownerOf(run));
    const pending = withHeldBack(full, scheduling.waiting(jobName(run, job)));
    job.reason = currentReason(job, pending);
    job.pending = pending;
  }
  return shown;
}

function explainPlacement(run: Run, job: Job, spec: JobSpec, scheduling: Scheduling): PlacementExplanation {
  const { cluster } = scheduling;
  const task = currentTask(job);
  const key = task !== undefined && !isTaskEnded(task.state) ? task.id : "probe";
  const demand = jobDemand(key, spec, scheduling.ownerOf(run));
  const explanation = withRoomFree(cluster, demand, () => explain(cluster, demand));
  return job.state === JobState.PENDING
    ? withHeldBack(explanation, scheduling.waiting(jobName(run, job)))
    : explanation;
}

function stateLine(job: Job): string {
  const state = JobState[job.state].toLowerCase();
  return `${job.spec?.name} is ${state}${job.reason === "" ? "" : `: ${job.reason}`}.`;
}

function queueLines(queue: QueueEntry | undefined, length: number): string[] {
  if (queue === undefined) return [];
  const { position, priority, team, value, reservedNodeId } = queue;
  const held = reservedNodeId === "" ? [] : [`Room on ${reservedNodeId} is held for it.`];
  return [
    `Number ${position} of ${length} in the queue: team ${team}, priority ${priority}, value ${value.toPrecision(3)}.`,
    ...held,
  ];
}

function placementLines(job: Job, { summary, chosenNodeId, remedies }: PlacementExplanation): string[] {
  if (isJobEnded(job.state)) return [];
  const verb = job.state === JobState.PENDING || job.state === JobState.WAITING ? "It would go" : "It would go again";
  return [chosenNodeId === "" ? `${summary}.` : `${verb} to ${chosenNodeId}: ${summary}.`, ...remedies];
}
