import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded, isRunEnded } from "@kedge/domain";
import type { ResolveContext } from "@kedge/pipeline";
import { FailureClass, FailureSchema, JobState, type Run, RunState } from "@kedge/proto";
import { isHeldBack, jobDeadline, runDeadlineMs } from "./deadlines.ts";
import { endWork } from "./endings.ts";
import type { BaselineLookup } from "./gate.ts";
import { Matrices } from "./matrix.ts";
import { resolveContext } from "./resolve-context.ts";
import { startIfReady } from "./start-job.ts";
import { failJob } from "./task-events.ts";

/**
 * Moves every job on as far as it can go without an agent: needs, conditions, gates, time-outs, what must end, the end of
 * the run. In place; running it twice changes nothing.
 */
export function progressRun(run: Run, at: Timestamp, baseline: BaselineLookup): void {
  if (isRunEnded(run.state) || (isHeldBack(run) && !run.cancelRequested)) return;
  expire(run, at);
  endWork(run, at);
  // What starts may fail at once, and so end other cells of its matrix.
  do startJobs(run, at, baseline);
  while (endWork(run, at));
  const hasBegun = run.jobs.some(({ state }) => state === JobState.RUNNING || isJobEnded(state));
  if (run.state === RunState.PENDING && hasBegun) {
    run.state = RunState.RUNNING;
    run.startedAt = at;
  }
  endRun(run, at);
}

function startJobs(run: Run, at: Timestamp, baseline: BaselineLookup): void {
  const jobs = new Map(run.jobs.map((job) => [job.spec?.name ?? "", job]));
  const matrices = new Matrices(run);
  let known: ResolveContext | undefined;
  const values = (): ResolveContext => {
    known ??= resolveContext(run);
    return known;
  };
  const context = { run, jobs, matrices, values, at, baseline };
  // Jobs are in topological order, so one pass sees every effect of an earlier job.
  for (const job of run.jobs) if (job.state === JobState.WAITING) startIfReady(job, context);
}

function expire(run: Run, at: Timestamp): void {
  const nowMs = timestampMs(at);
  for (const job of run.jobs) {
    const deadline = jobDeadline(job);
    if (deadline === undefined || nowMs < deadline.atMs) continue;
    failJob(job, create(FailureSchema, { class: FailureClass.TIMEOUT, message: deadline.message }), at);
  }
  if (nowMs >= runDeadlineMs(run) && !run.cancelRequested) {
    run.cancelRequested = true;
    run.reason = `the run took longer than ${run.timeoutSeconds} s`;
  }
}

function endRun(run: Run, at: Timestamp): void {
  if (!run.jobs.every((job) => isJobEnded(job.state))) return;
  const failures = run.jobs.filter((job) => job.state === JobState.FAILED);
  const failed = failures.find((job) => !job.spec?.allowFailure);
  if (failed) {
    run.state = RunState.FAILED;
    run.reason = `${failed.spec?.name}: ${failed.reason}`;
  } else if (run.jobs.some((job) => job.state === JobState.CANCELLED)) {
    run.state = RunState.CANCELLED;
  } else {
    run.state = RunState.SUCCEEDED;
    if (failures.length > 0)
      run.reason = `failed, which is allowed: ${failures.map(({ spec }) => spec?.name).join(", ")}`;
  }
  run.finishedAt = at;
}
