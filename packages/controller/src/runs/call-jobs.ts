import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { isKedgeError, isRunEnded, KedgeError } from "@kedge/domain";
import { resolveJob } from "@kedge/pipeline";
import {
  type CallJob,
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  type Run,
  RunState,
  SourceEvent,
  SourceSchema,
} from "@kedge/proto";
import { lookUp } from "../services/lookup.ts";
import type { Stores } from "../stores.ts";
import { callProblem } from "./called-run.ts";
import { isCalling } from "./calling.ts";
import { editRun } from "./edit-run.ts";
import { Matrices } from "./matrix.ts";
import { resolveContext } from "./resolve-context.ts";
import type { Submissions } from "./submission.ts";
import { failJob } from "./task-events.ts";

/** What call jobs are carried out with. */
export interface CallJobsOptions {
  readonly stores: Pick<Stores, "runs" | "pipelines">;
  readonly submissions: () => Pick<Submissions, "submit">;
  /** Queues a run to be looked at. */
  readonly touch: (runId: string) => void;
}

/**
 * Carries out call jobs: starts a run of another pipeline under an id that is stored before, and ends the job as that run
 * ends. What is called has the caller's source, submitter, team and labels, and the word that let the caller begin.
 */
export class CallJobs {
  readonly #options: CallJobsOptions;
  /** Why a run could not be called, by its id, until the caller's document says so. */
  readonly #refused = new Map<string, string>();

  constructor(options: CallJobsOptions) {
    this.#options = options;
  }

  /** Starts the called run of a running job, or cancels it where the job must end. May be repeated. */
  async act(run: Run, job: Job): Promise<void> {
    const called = this.#called(job);
    const reason = endReason(run, job);
    if (called === undefined && reason === undefined) await this.#call(run, job);
    else if (called !== undefined && reason !== undefined && !isDetached(job)) await this.#cancel(called, reason);
  }

  /** Tells whether what became of a called run is not in the caller's document yet. */
  hasNews(run: Run): boolean {
    return run.jobs.some((job) => isCalling(job) && this.#end(run, job) !== undefined);
  }

  /** Takes what became of called runs into the run's call jobs, in place. */
  observe(run: Run, at: Timestamp): void {
    for (const job of run.jobs) {
      const end = isCalling(job) ? this.#end(run, job) : undefined;
      if (end === undefined) continue;
      const { state, reason, failure } = end;
      if (failure !== undefined) failJob(job, create(FailureSchema, { class: failure, message: reason }), at);
      else Object.assign(job, { state, reason, finishedAt: at });
      this.#refused.delete(job.calledRunId);
    }
  }

  /** Forgets what is remembered of a run that has ended. */
  forget(run: Run): void {
    for (const job of run.jobs) this.#refused.delete(job.calledRunId);
  }

  #called(job: Job): Run | undefined {
    return this.#options.stores.runs.get(job.calledRunId)?.value;
  }

  async #call(run: Run, job: Job): Promise<void> {
    const { stores, submissions } = this.#options;
    try {
      const { pipeline, parameters } = resolvedCall(run, job);
      const problem = callProblem(stores.runs, run, pipeline);
      if (problem !== undefined) throw new KedgeError("INVALID_PIPELINE", problem, { field: "call" });
      const notFound = { reason: "PIPELINE_NOT_FOUND", noun: "pipeline", field: "call.pipeline" } as const;
      const { submittedBy, team, labels, decision, source } = run;
      await submissions().submit({
        ...{ id: job.calledRunId, parameters, submittedBy, team, labels, decision },
        pipeline: lookUp(stores.pipelines, pipeline, notFound).value.source,
        source: source && create(SourceSchema, { ...source, event: SourceEvent.CALL }),
        calledBy: `${run.id}/${job.spec?.name}`,
      });
    } catch (error) {
      // It is there: somebody was killed before they saw it, or the read model is behind.
      if (isKedgeError(error, "CONFLICT")) return;
      if (!isKedgeError(error) || error.retryable) throw error;
      this.#refused.set(job.calledRunId, error.message);
    }
  }

  async #cancel(called: Run, reason: string): Promise<void> {
    if (isRunEnded(called.state) || called.cancelRequested) return;
    const { stores, touch } = this.#options;
    await editRun(stores.runs, called.id, (draft) => {
      if (isRunEnded(draft.state)) return;
      draft.cancelRequested = true;
      draft.reason = `its caller ${called.calledBy} has to end: ${reason}`;
    });
    touch(called.id);
  }

  #end(run: Run, job: Job): JobEnd | undefined {
    const refusal = this.#refused.get(job.calledRunId);
    if (refusal !== undefined) return { state: JobState.FAILED, reason: refusal, failure: FailureClass.INVALID };
    const called = this.#called(job);
    const reason = endReason(run, job);
    if (called === undefined) return reason === undefined ? undefined : { state: JobState.CANCELLED, reason };
    if (isDetached(job)) return { state: JobState.SUCCEEDED, reason: `run ${called.id} goes on by itself` };
    return isRunEnded(called.state) ? endOf(called) : undefined;
  }
}

interface JobEnd {
  readonly state: JobState;
  readonly reason: string;
  readonly failure?: FailureClass;
}

function endOf(called: Run): JobEnd {
  const why = called.reason === "" ? "" : `: ${called.reason}`;
  if (called.state === RunState.SUCCEEDED) return { state: JobState.SUCCEEDED, reason: `run ${called.id} succeeded` };
  if (called.state === RunState.CANCELLED)
    return { state: JobState.CANCELLED, reason: `run ${called.id} was cancelled${why}` };
  const failed = called.jobs.find(({ state, spec }) => state === JobState.FAILED && spec?.allowFailure !== true);
  const failure = failed?.failure?.class ?? FailureClass.INVALID;
  return { state: JobState.FAILED, reason: `run ${called.id} failed${why}`, failure };
}

/** Why a job has to end before the called run does. */
function endReason(run: Run, job: Job): string | undefined {
  if (run.cancelRequested) return run.reason || "the run was cancelled";
  if (job.spec?.failFast !== true) return undefined;
  const failed = new Matrices(run).failedSibling(job);
  return failed && `${failed.spec?.name} failed, and the matrix is fail-fast`;
}

function isDetached({ spec }: Job): boolean {
  return spec?.work.case === "call" && spec.work.value.detach;
}

function resolvedCall(run: Run, { spec }: Job): Pick<CallJob, "pipeline" | "parameters"> {
  const work = spec && resolveJob(spec, resolveContext(run)).work;
  if (work?.case === "call") return work.value;
  throw new TypeError("a job without a call cannot call");
}
