import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { isKedgeError, isRolloutEnded } from "@kedge/domain";
import { resolveJob } from "@kedge/pipeline";
import {
  type Deployment,
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  type Rollout,
  RolloutState,
  type Run,
} from "@kedge/proto";
import type { DeploymentWriter } from "../deployments/apply.ts";
import type { Stores } from "../stores.ts";
import { resolveContext } from "./dispatch.ts";
import { failJob } from "./task-events.ts";

/** Carries out deploy jobs: applies the deployment once, then ends the job with its rollout's verdict. */
export class DeployJobs {
  readonly #stores: Stores;
  readonly #writer: DeploymentWriter;
  /** Why a deployment could not be applied, by run and job, until the run's document says so. */
  readonly #refused = new Map<string, string>();

  constructor(stores: Stores, writer: DeploymentWriter) {
    this.#stores = stores;
    this.#writer = writer;
  }

  /** Applies the deployment of a running job unless that is done. May be repeated. */
  async act(run: Run, job: Job): Promise<void> {
    if (job.deployedRevision > 0 || job.spec?.work.case !== "deploy" || run.cancelRequested) return;
    try {
      const resolved = resolveJob(job.spec, resolveContext(run));
      const spec = resolved.work.case === "deploy" ? resolved.work.value.deployment : undefined;
      if (spec === undefined) return;
      await this.#writer.apply(spec, {
        createdBy: run.submittedBy,
        runId: run.id,
        job: job.spec.name,
        commit: run.source?.commit ?? "",
      });
    } catch (error) {
      if (!isKedgeError(error) || error.retryable) throw error;
      this.#refused.set(key(run, job), error.message);
    }
  }

  /** Tells whether a deployment was refused and the run's document does not say so yet. */
  hasNews(run: Run): boolean {
    return this.#refused.size > 0 && run.jobs.some((job) => this.#refused.has(key(run, job)));
  }

  /** Takes the state of the rollouts into the run's deploy jobs, in place. */
  observe(run: Run, at: Timestamp): void {
    for (const job of run.jobs) {
      if (job.state === JobState.RUNNING && job.spec?.work.case === "deploy") this.#observeJob(run, job, at);
    }
  }

  #observeJob(run: Run, job: Job, at: Timestamp): void {
    const refusal = this.#refused.get(key(run, job));
    if (refusal !== undefined) {
      this.#refused.delete(key(run, job));
      failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message: refusal }), at);
      return;
    }
    const work = job.spec?.work;
    if (work?.case !== "deploy") return;
    const deployment = this.#stores.deployments.get(work.value.deployment?.name ?? "")?.value;
    const applied = deployment?.applied[`${run.id}/${job.spec?.name}`];
    if (deployment === undefined || applied === undefined) return;
    job.deployedRevision = applied;
    if (work.value.detach) succeed(job, at, `revision ${applied} is being rolled out`);
    else settle(job, deployment, applied, at);
  }
}

function settle(job: Job, deployment: Deployment, revision: number, at: Timestamp): void {
  const rollout = findRollout(deployment, revision);
  if (rollout?.verdict) job.verdict = rollout.verdict;
  if (rollout === undefined) {
    if (deployment.stableRevision === revision) succeed(job, at, `revision ${revision} was in force already`);
    return;
  }
  if (!isRolloutEnded(rollout.state)) {
    job.reason = rollout.transitions.at(-1)?.reason ?? `revision ${revision} is being rolled out`;
    return;
  }
  if (rollout.state === RolloutState.SUCCEEDED) {
    succeed(job, at, `revision ${revision} is in force`);
    return;
  }
  const reason = rollout.transitions.findLast((step) => step.to === RolloutState.ROLLING_BACK)?.reason;
  const message = `revision ${revision} was rolled back: ${reason ?? rollout.verdict?.reason ?? "no reason recorded"}`;
  failJob(job, create(FailureSchema, { class: FailureClass.ROLLED_BACK, message }), at);
}

function findRollout(deployment: Deployment, revision: number): Rollout | undefined {
  const candidates = [...deployment.history, ...(deployment.rollout ? [deployment.rollout] : [])];
  return candidates.findLast((rollout) => rollout.toRevision === revision);
}

function succeed(job: Job, at: Timestamp, reason: string): void {
  job.state = JobState.SUCCEEDED;
  job.reason = reason;
  job.finishedAt = at;
}

function key(run: Run, job: Job): string {
  return `${run.id}/${job.spec?.name}`;
}
