import { isJobEnded, isRunEnded } from "@kedge/domain";
import { type Job, JobState, type Run, RunState } from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";

/** Tells people what changed between two states of a run. */
export function recordRunEvents(events: Pick<EventRecorder, "record">, before: Run | undefined, after: Run): void {
  if (before === undefined) {
    events.record({
      kind: "run",
      name: after.id,
      reason: "Submitted",
      message: `${after.pipeline} by ${after.submittedBy}`,
    });
  }
  after.jobs.forEach((job, i) => {
    const old = before?.jobs[i]?.state ?? JobState.WAITING;
    if (before === undefined && job.reusedFrom !== "") return;
    if (old !== job.state && isTold(after, job)) recordJob(events, after, job);
  });
  if (isRunEnded(after.state) && before?.state !== after.state) {
    const bad = after.state !== RunState.SUCCEEDED;
    const reason = RunState[after.state];
    events.record({
      kind: "run",
      name: after.id,
      reason: pascalCase(reason),
      message: after.reason || after.pipeline,
      warning: bad,
    });
  }
}

/** Tells people of jobs that have to end for others. */
export function recordPreemptions(events: Pick<EventRecorder, "record">, run: Run, preempted: readonly Job[]): void {
  for (const job of preempted) {
    const message = `${job.spec?.name}: ${job.reason}`;
    const fields = { job: job.spec?.name ?? "" };
    events.record({ kind: "job", name: run.id, reason: "Preempted", message, warning: true, fields });
  }
}

/**
 * Which job states are told as events. Every event is a durable write, and the run's document has all states: starts
 * and, in a run of one job, the success that the run's own end tells are left out.
 */
function isTold(run: Run, job: Job): boolean {
  if (job.state === JobState.OFFERED || job.state === JobState.WAITING || job.state === JobState.RUNNING) return false;
  return run.jobs.length > 1 || job.state !== JobState.SUCCEEDED;
}

function recordJob(events: Pick<EventRecorder, "record">, run: Run, job: Job): void {
  events.record({
    kind: "job",
    name: run.id,
    reason: pascalCase(JobState[job.state]),
    message: job.reason === "" ? (job.spec?.name ?? "") : `${job.spec?.name}: ${job.reason}`,
    warning: isJobEnded(job.state) && job.state !== JobState.SUCCEEDED,
    fields: { job: job.spec?.name ?? "" },
  });
}

function pascalCase(constant: string | undefined): string {
  return (constant ?? "")
    .toLowerCase()
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
}
