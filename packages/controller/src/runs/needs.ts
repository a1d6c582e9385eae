import { isJobEnded, isKedgeError } from "@kedge/domain";
import { conditionHolds, type ResolveContext } from "@kedge/pipeline";
import { type Job, JobState, RunOn } from "@kedge/proto";

/** What the ends of a job's needs make of it. */
export type NeedsVerdict =
  | { readonly kind: "waits" }
  | { readonly kind: "runs" }
  | { readonly kind: "skipped"; readonly reason: string };

/** Jobs of a run by name. */
export type JobsByName = ReadonlyMap<string, Job>;

const WAITS: NeedsVerdict = { kind: "waits" };
const RUNS: NeedsVerdict = { kind: "runs" };

/** Tells whether a need counts as a success: it succeeded, or failed where it may. */
export function isGood(job: Job): boolean {
  return job.state === JobState.SUCCEEDED || (job.state === JobState.FAILED && job.spec?.allowFailure === true);
}

/**
 * What the ends of its needs make of a waiting job; the table is in this folder's README. A job that runs on success is
 * skipped as soon as one need cannot be good any more; the others are decided when all needs have ended.
 */
export function needsVerdict(job: Job, jobs: JobsByName): NeedsVerdict {
  const needs = neededJobs(job, jobs);
  const isOver = needs.every(({ state }) => isJobEnded(state));
  switch (job.spec?.runOn) {
    case RunOn.ALWAYS:
      return isOver ? RUNS : WAITS;
    case RunOn.FAILURE: {
      if (!isOver) return WAITS;
      if (needs.some((need) => hasFailed(need, jobs))) return RUNS;
      return { kind: "skipped", reason: "it runs on failure, and none of its needs failed" };
    }
    default:
      return successVerdict(job, needs, isOver);
  }
}

function successVerdict(job: Job, needs: readonly Job[], isOver: boolean): NeedsVerdict {
  const optional = new Set(job.spec?.optionalNeeds);
  const isEnough = (need: Job): boolean =>
    isGood(need) || (need.state === JobState.SKIPPED && optional.has(need.spec?.name ?? ""));
  const broken = needs.find((need) => isJobEnded(need.state) && !isEnough(need));
  if (broken !== undefined) return { kind: "skipped", reason: brokenReason(broken) };
  return isOver ? RUNS : WAITS;
}

function brokenReason(need: Job): string {
  const name = need.spec?.name ?? "";
  if (need.state === JobState.SKIPPED) return `${name} was skipped`;
  return need.state === JobState.CANCELLED ? `${name} was cancelled` : `${name} did not succeed`;
}

/** Tells whether a need failed or was cancelled, or was skipped because something before it was. */
function hasFailed(need: Job, jobs: JobsByName): boolean {
  const seen = new Set<Job>();
  const open = [need];
  for (let job = open.pop(); job !== undefined; job = open.pop()) {
    if (seen.has(job)) continue;
    seen.add(job);
    if (isJobEnded(job.state) && job.state !== JobState.SKIPPED && !isGood(job)) return true;
    if (job.state === JobState.SKIPPED) open.push(...neededJobs(job, jobs));
  }
  return false;
}

/** The jobs a job needs, of those that are there. */
export function neededJobs(job: Job, jobs: JobsByName): Job[] {
  return (job.spec?.needs ?? []).map((name) => jobs.get(name)).filter((need) => need !== undefined);
}

/** What the condition of a job says once its needs let it run. */
export type ConditionVerdict =
  | { readonly kind: "holds" }
  | { readonly kind: "skipped"; readonly reason: string }
  | { readonly kind: "invalid"; readonly problem: string };

/**
 * Looks at a job's own condition. One that asks for what nobody reported is the file's fault when all needs succeeded;
 * where one did not, it does not hold.
 */
export function conditionVerdict(job: Job, needs: readonly Job[], context: () => ResolveContext): ConditionVerdict {
  if (job.spec?.when === undefined) return { kind: "holds" };
  try {
    const outcome = conditionHolds(job.spec.when, context());
    if (outcome.holds) return { kind: "holds" };
    return { kind: "skipped", reason: `its condition does not hold: ${outcome.reason}` };
  } catch (error) {
    if (!isKedgeError(error)) throw error;
    const isOwnFault = needs.every(({ state }) => state === JobState.SUCCEEDED);
    if (isOwnFault) return { kind: "invalid", problem: error.message };
    return { kind: "skipped", reason: `its condition does not hold: ${error.message}` };
  }
}
