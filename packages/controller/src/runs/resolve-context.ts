import { isKedgeError } from "@kedge/domain";
import { type ResolveContext, resolveJob } from "@kedge/pipeline";
import type { Job, Run } from "@kedge/proto";

/** What a run's late-bound expressions are looked up in. */
export function resolveContext(run: Run): ResolveContext {
  return {
    jobs: new Map(run.jobs.map((job) => [job.spec?.name ?? "", { outputs: job.outputs, metrics: job.metrics }])),
    run: { id: run.id, commit: run.source?.commit ?? "", ref: run.source?.ref ?? "" },
  };
}

/** Why a job that is about to start cannot: an earlier job did not report what it refers to. */
export function resolveProblem(run: Run, job: Job): string | undefined {
  const kind = job.spec?.work.case;
  if (job.spec === undefined || (kind !== "steps" && kind !== "deploy")) return undefined;
  try {
    resolveJob(job.spec, resolveContext(run));
    return undefined;
  } catch (error) {
    if (isKedgeError(error)) return error.message;
    throw error;
  }
}
