import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isRunEnded, KedgeError } from "@kedge/domain";
import { type Job, JobState, type Run, RunState } from "@kedge/proto";
import { enterBeginning } from "../runs/beginning.ts";
import { requeue } from "../runs/task-events.ts";

/**
 * Starts jobs over, in place. Of an ended run: those named, or all that did not succeed; jobs that were skipped follow
 * by themselves. Of a run that goes on: only held ones, which wait for just this.
 *
 * @throws KedgeError INVALID_FIELD when the run goes on and none of the jobs is held.
 */
export function retryRun(run: Run, names: readonly string[], nowMs: number): void {
  const isChosen = (job: Job): boolean => names.length === 0 || names.includes(job.spec?.name ?? "");
  if (!isRunEnded(run.state)) {
    const held = run.jobs.filter((job) => job.state === JobState.HELD && isChosen(job));
    if (held.length === 0) {
      throw new KedgeError("INVALID_FIELD", `run ${run.id} still runs`, { field: "run_id", hint: "cancel it first" });
    }
    for (const job of held) requeue(job, "retried by a person");
    for (const job of held) job.readyAt = timestampFromMs(nowMs);
    return;
  }
  for (const job of run.jobs) {
    const isNamed = names.length > 0 && isChosen(job);
    const isUnfinished = names.length === 0 && job.state !== JobState.SUCCEEDED;
    if (isNamed || isUnfinished || job.state === JobState.SKIPPED) startOver(job);
  }
  run.cancelRequested = false;
  delete run.finishedAt;
  enterBeginning(run);
  if (run.state === RunState.PENDING) run.state = RunState.RUNNING;
  // The run's time limit counts from here.
  run.releasedAt = timestampFromMs(nowMs);
  if (run.state === RunState.RUNNING) run.startedAt = run.releasedAt;
  else delete run.startedAt;
}

/** Tasks stay: the next attempt's fence must be higher than any before. */
function startOver(job: Job): void {
  job.state = JobState.WAITING;
  job.reason = "";
  job.steps = [];
  job.outputs = {};
  job.metrics = {};
  job.gateResults = [];
  job.artifacts = [];
  job.deployedRevision = 0;
  job.decidedBy = "";
  job.decisions = [];
  job.calledRunId = "";
  job.told = 0;
  delete job.failure;
  delete job.verdict;
  delete job.pending;
  delete job.readyAt;
  delete job.startedAt;
  delete job.finishedAt;
  delete job.notBefore;
  job.reusedFrom = "";
}
