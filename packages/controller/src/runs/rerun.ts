import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isRunEnded, KedgeError } from "@kedge/domain";
import { type Job, JobSchema, JobState, type Run, RunSchema } from "@kedge/proto";
import { enterBeginning } from "./beginning.ts";
import { isGood } from "./needs.ts";

/** Whose the new run is. */
export interface RerunOptions {
  readonly id: string;
  readonly submittedBy: string;
  readonly team: string;
  readonly nowMs: number;
}

/**
 * A new run of the same files and parameters, in which the named jobs, those that did not succeed, and all jobs after
 * either run again. The others keep what they came to, with their outputs, metrics and artifacts. Jobs that were added
 * by one that runs again are left to it.
 *
 * @throws KedgeError INVALID_FIELD when the run goes on.
 */
export function rerunFrom(run: Run, from: readonly string[], options: RerunOptions): Run {
  if (!isRunEnded(run.state)) {
    throw new KedgeError("INVALID_FIELD", `run ${run.id} still runs`, { field: "run_id", hint: "cancel it first" });
  }
  const again = jobsAfter(run, (job) => from.includes(nameOf(job)) || isUnfinished(job));
  const kept = run.jobs.filter((job) => !again.has(job.addedBy));
  const { source, decision, concurrency, pipeline, parameters, secretParameters, labels, timeoutSeconds } = run;
  const { id, submittedBy, team, nowMs } = options;
  const rerun = create(RunSchema, {
    ...{ id, pipeline, submittedBy, team, timeoutSeconds, rerunOf: run.id },
    parameters: { ...parameters },
    secretParameters: [...secretParameters],
    labels: { ...labels },
    ...(source === undefined ? {} : { source }),
    ...(decision === undefined ? {} : { decision }),
    ...(concurrency === undefined ? {} : { concurrency }),
    createdAt: timestampFromMs(nowMs),
    jobs: kept.map((job) => (again.has(nameOf(job)) ? freshJob(job) : reusedJob(job, run.id))),
  });
  enterBeginning(rerun);
  return rerun;
}

/** Names of the jobs that are chosen and of all that come after them; jobs are in topological order. */
function jobsAfter(run: Run, isChosen: (job: Job) => boolean): ReadonlySet<string> {
  const names = new Set<string>();
  for (const job of run.jobs) {
    if (isChosen(job) || job.spec?.needs.some((need) => names.has(need))) names.add(nameOf(job));
  }
  return names;
}

function isUnfinished(job: Job): boolean {
  return job.state !== JobState.SKIPPED && !isGood(job);
}

function freshJob({ spec, addedBy }: Job): Job {
  return create(JobSchema, { ...(spec === undefined ? {} : { spec }), state: JobState.WAITING, addedBy });
}

/** Attempts stay with the run that made them. */
function reusedJob(job: Job, runId: string): Job {
  const reused = clone(JobSchema, job);
  reused.tasks = [];
  reused.reusedFrom ||= runId;
  return reused;
}

function nameOf(job: Job): string {
  return job.spec?.name ?? "";
}
