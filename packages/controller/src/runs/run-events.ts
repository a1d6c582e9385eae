import { isJobEnded, isRunEnded } from "@kedge/domain";
import { type Job, JobState, type Run, RunState } from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";

/** Tells people what changed between two states of a run. */
export function recordRunEvents(events: EventRecorder, before: Run | undefined, after: Run): void {
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
    if (old !== job.state) recordJob(events, after, job);
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

function recordJob(events: EventRecorder, run: Run, job: Job): void {
  // Offers come and go by the hundred; the states people wait for are the others.
  if (job.state === JobState.OFFERED || job.state === JobState.WAITING) return;
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
