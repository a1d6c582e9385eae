import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ResolveContext } from "@kedge/pipeline";
import { FailureClass, FailureSchema, type Job, JobState, type Run } from "@kedge/proto";
import { calledRunId } from "./called-run.ts";
import { type BaselineLookup, evaluateGate } from "./gate.ts";
import type { Matrices } from "./matrix.ts";
import { conditionVerdict, type JobsByName, type NeedsVerdict, neededJobs, needsVerdict } from "./needs.ts";
import { resolveProblem } from "./resolve-context.ts";
import { failJob } from "./task-events.ts";

/** What a job is started in. */
export interface StartContext {
  readonly run: Run;
  readonly jobs: JobsByName;
  readonly matrices: Matrices;
  /** What expressions are looked up in. */
  readonly values: () => ResolveContext;
  readonly at: Timestamp;
  readonly baseline: BaselineLookup;
}

/** Starts or skips a waiting job, in place, if everything it waits for is there. */
export function startIfReady(job: Job, context: StartContext): void {
  const { matrices, values, at } = context;
  const verdict = readiness(job, context);
  if (verdict.kind === "skipped") skip(job, verdict.reason, at);
  else if (verdict.kind === "invalid") failInvalid(job, verdict.problem, at);
  if (verdict.kind !== "runs") return;
  if (!matrices.hasPlace(job)) {
    job.reason = `${job.spec?.maxParallel} of the matrix run at once`;
    return;
  }
  if (job.tasks.length === 0) job.reason = "";
  // A next attempt keeps it: attempts are counted from here.
  job.readyAt ??= at;
  // Everything it refers to has ended, so what is missing now will never come.
  const problem = resolveProblem(job, values);
  if (problem !== undefined) failInvalid(job, problem, at);
  else begin(job, context);
  matrices.note(job);
}

type Readiness = NeedsVerdict | { readonly kind: "invalid"; readonly problem: string };

function readiness(job: Job, { jobs, values, at }: StartContext): Readiness {
  if (job.notBefore !== undefined && timestampMs(job.notBefore) > timestampMs(at)) return { kind: "waits" };
  const verdict = needsVerdict(job, jobs);
  if (verdict.kind !== "runs") return verdict;
  const condition = conditionVerdict(job, neededJobs(job, jobs), values);
  return condition.kind === "holds" ? verdict : condition;
}

function begin(job: Job, { run, jobs, at, baseline }: StartContext): void {
  const work = job.spec?.work;
  switch (work?.case) {
    case "steps":
      job.state = JobState.PENDING;
      return;
    case "approval":
      job.state = JobState.BLOCKED;
      job.reason = work.value.message || "waits for an approval";
      return;
    case "gate":
      job.startedAt = at;
      job.gateResults = evaluateGate(work.value, { needed: neededJobs(job, jobs), all: [...jobs.values()] }, baseline);
      closeGate(job, at);
      return;
    case "deploy":
      job.state = JobState.RUNNING;
      job.startedAt = at;
      job.reason = `deploying ${work.value.deployment?.name}`;
      return;
    case "call":
      job.state = JobState.RUNNING;
      job.startedAt = at;
      job.calledRunId = calledRunId(run, job, job.readyAt ?? at);
      job.reason = `calls ${work.value.pipeline} as run ${job.calledRunId}`;
      return;
    case "notify":
      job.state = JobState.RUNNING;
      job.startedAt = at;
      job.reason = `telling ${work.value.receiver}`;
      return;
    case undefined:
      failInvalid(job, "the job has no work", at);
      return;
    default:
      work satisfies never;
  }
}

function closeGate(job: Job, at: Timestamp): void {
  const failed = job.gateResults.filter((result) => !result.passed);
  if (failed.length > 0) {
    const message = failed.map((result) => result.message).join("; ");
    failJob(job, create(FailureSchema, { class: FailureClass.GATE, message }), at);
    return;
  }
  job.state = JobState.SUCCEEDED;
  job.reason = job.gateResults.map((result) => result.message).join("; ");
  job.finishedAt = at;
}

function skip(job: Job, reason: string, at: Timestamp): void {
  job.state = JobState.SKIPPED;
  job.reason = reason;
  job.finishedAt = at;
}

function failInvalid(job: Job, message: string, at: Timestamp): void {
  failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message }), at);
}
