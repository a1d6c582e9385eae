import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, isRolloutEnded } from "@kedge/domain";
import { resolveJob } from "@kedge/pipeline";
import {
  type Deployment,
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  type Revision,
  RevisionState,
  type Rollout,
  RolloutState,
  type Run,
} from "@kedge/proto";
import { abandonRevision } from "@kedge/rollout";
import type { DeploymentWriter } from "../deployments/apply.ts";
import type { Stores } from "../stores.ts";
import { resolveContext } from "./resolve-context.ts";
import { failJob } from "./task-events.ts";

/** Carries out deploy jobs: applies the deployment once, then ends the job with its rollout's verdict. */
export class DeployJobs {
  readonly #stores: Stores;
  readonly #writer: DeploymentWriter;
  /** Why a deployment could not be applied, by attempt, until the run's document says so. */
  readonly #refused = new Map<string, string>();

  constructor(stores: Stores, writer: DeploymentWriter) {
    this.#stores = stores;
    this.#writer = writer;
  }

  /** Applies the deployment of a running job, or gives it up when the run is cancelled. May be repeated. */
  async act(run: Run, job: Job): Promise<void> {
    try {
      if (job.deployedRevision > 0) await this.#giveUp(run, job);
      else await this.#apply(run, job);
    } catch (error) {
      // The deployment is being deleted or is fought over: the run is looked at again soon.
      if (isKedgeError(error, "CONFLICT")) return;
      if (!isKedgeError(error) || error.retryable) throw error;
      this.#refused.set(attemptKey(run, job), error.message);
    }
  }

  /** Tells whether a deployment was refused and the run's document does not say so yet. */
  hasNews(run: Run): boolean {
    return (
      this.#refused.size > 0 && run.jobs.some((job) => isDeploying(job) && this.#refused.has(attemptKey(run, job)))
    );
  }

  /** Takes the state of the rollouts into the run's deploy jobs, in place. */
  observe(run: Run, at: Timestamp): void {
    for (const job of run.jobs) {
      if (isDeploying(job)) this.#observeJob(run, job, at);
      else this.#refused.delete(attemptKey(run, job));
    }
  }

  /** Forgets what is remembered of a run that has ended. */
  forget(run: Run): void {
    for (const job of run.jobs) this.#refused.delete(attemptKey(run, job));
  }

  async #apply(run: Run, job: Job): Promise<void> {
    if (job.spec?.work.case !== "deploy" || run.cancelRequested) return;
    const resolved = resolveJob(job.spec, resolveContext(run));
    const spec = resolved.work.case === "deploy" ? resolved.work.value.deployment : undefined;
    if (spec === undefined) return;
    await this.#writer.apply(spec, {
      createdBy: run.submittedBy,
      runId: run.id,
      attempt: attemptKey(run, job),
      commit: run.source?.commit ?? "",
    });
  }

  async #giveUp(run: Run, job: Job): Promise<void> {
    const name = deploymentName(job);
    if (!run.cancelRequested || this.#stores.deployments.get(name) === undefined) return;
    await this.#writer.edit(name, (draft, nowMs) => {
      const reason = run.reason || `run ${run.id} was cancelled`;
      if (revisionOf(draft, job.deployedRevision)?.runId === run.id) {
        abandonRevision(draft, job.deployedRevision, { nowMs, reason });
      }
      return job.deployedRevision;
    });
  }

  #observeJob(run: Run, job: Job, at: Timestamp): void {
    const refusal = this.#refused.get(attemptKey(run, job));
    if (refusal !== undefined) {
      failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message: refusal }), at);
      return;
    }
    const deployment = this.#stores.deployments.get(deploymentName(job))?.value;
    if (job.deployedRevision > 0 && (deployment === undefined || deployment.deleting)) {
      const message = `deployment ${deploymentName(job)} was deleted`;
      failJob(job, create(FailureSchema, { class: FailureClass.ROLLED_BACK, message }), at);
      return;
    }
    const applied = deployment?.applied[attemptKey(run, job)] ?? job.deployedRevision;
    if (deployment === undefined || applied === 0) return;
    job.deployedRevision = applied;
    if (job.spec?.work.case === "deploy" && job.spec.work.value.detach) {
      end(job, JobState.SUCCEEDED, `revision ${applied} is being rolled out`, at);
    } else {
      settle(run, job, deployment, at);
    }
  }
}

/** Names one attempt of a deploy job; a retry by a person is another one. The job's name is its second part. */
export function attemptKey(run: Run, job: Job): string {
  const readyMs = job.readyAt === undefined ? 0 : timestampMs(job.readyAt);
  return `${run.id}/${job.spec?.name}/${readyMs}`;
}

function settle(run: Run, job: Job, deployment: Deployment, at: Timestamp): void {
  const revision = job.deployedRevision;
  if (run.cancelRequested && revisionOf(deployment, revision)?.runId !== run.id) {
    end(job, JobState.CANCELLED, `revision ${revision} was made by somebody else and goes on`, at);
    return;
  }
  const rollout = findRollout(deployment, revision);
  if (rollout === undefined) {
    settleWithoutRollout(run, job, deployment, at);
    return;
  }
  if (rollout.verdict) job.verdict = rollout.verdict;
  if (!isRolloutEnded(rollout.state)) {
    job.reason = rollout.transitions.at(-1)?.reason ?? `revision ${revision} is being rolled out`;
  } else if (rollout.state === RolloutState.SUCCEEDED) {
    end(job, JobState.SUCCEEDED, `revision ${revision} is in force`, at);
  } else {
    const reason = rollout.transitions.find((step) => step.to === RolloutState.ROLLING_BACK)?.reason;
    rolledBack(run, job, `was rolled back: ${reason ?? rollout.verdict?.reason ?? "no reason recorded"}`, at);
  }
}

/** The revision is in force already, waits for another rollout to end, or never got its turn. */
function settleWithoutRollout(run: Run, job: Job, deployment: Deployment, at: Timestamp): void {
  const number = job.deployedRevision;
  const revision = revisionOf(deployment, number);
  if (deployment.stableRevision === number) {
    end(job, JobState.SUCCEEDED, `revision ${number} was in force already`, at);
  } else if (revision?.state === RevisionState.CANDIDATE) {
    job.reason = `revision ${number} waits for the rollout before it to end`;
  } else {
    const newest = deployment.revisions.at(-1)?.number ?? 0;
    rolledBack(run, job, newest > number ? `gave way to revision ${newest}` : "was given up", at);
  }
}

function rolledBack(run: Run, job: Job, what: string, at: Timestamp): void {
  const message = `revision ${job.deployedRevision} ${what}`;
  if (run.cancelRequested) end(job, JobState.CANCELLED, message, at);
  else failJob(job, create(FailureSchema, { class: FailureClass.ROLLED_BACK, message }), at);
}

function findRollout(deployment: Deployment, revision: number): Rollout | undefined {
  const candidates = [...deployment.history, ...(deployment.rollout ? [deployment.rollout] : [])];
  return candidates.findLast((rollout) => rollout.toRevision === revision);
}

function revisionOf(deployment: Deployment, number: number): Revision | undefined {
  return deployment.revisions.find((revision) => revision.number === number);
}

function isDeploying(job: Job): boolean {
  return job.state === JobState.RUNNING && job.spec?.work.case === "deploy";
}

function deploymentName(job: Job): string {
  return job.spec?.work.case === "deploy" ? (job.spec.work.value.deployment?.name ?? "") : "";
}

function end(job: Job, state: JobState, reason: string, at: Timestamp): void {
  job.state = state;
  job.reason = reason;
  job.finishedAt = at;
}
