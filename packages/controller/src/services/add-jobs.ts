import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { isJobEnded, isRunEnded, isTaskEnded, KedgeError } from "@kedge/domain";
import { compileFragment, usedComponents } from "@kedge/pipeline";
import { type AddJobsRequest, type Job, JobSchema, type JobSpec, JobState, type Run } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import type { EventRecorder } from "../events/recorder.ts";
import { currentTask } from "../runs/task-events.ts";
import { secretNames } from "../secrets/job-secrets.ts";
import type { Stores } from "../stores.ts";
import { componentSources } from "./component-service.ts";
import { diagnosticText } from "./diagnostic-text.ts";

/** What jobs are added with. */
export interface AddJobsOptions {
  readonly stores: Pick<Stores, "components">;
  /** Changes a run as it is by then. */
  readonly edit: (runId: string, change: (run: Run) => void) => Promise<Run>;
  readonly events: Pick<EventRecorder, "record">;
}

const MAX_SOURCE_BYTES = 256 * 1024;
const MAX_KEY = 200;
const MAX_JOBS = 1_000;
/** Kinds of work that a step may ask for: those that reach beyond the run are for the reviewed file alone. */
const ALLOWED: ReadonlySet<string | undefined> = new Set(["steps", "gate", "approval"]);

/**
 * Adds the jobs of a fragment to the run of the calling task. They get no more than the job that adds them has: its
 * secrets, environment, priority and tolerations; they may not deploy, call, notify, or add jobs themselves. The same key adds the same jobs once.
 *
 * @returns the names of the jobs.
 * @throws KedgeError PERMISSION_DENIED when the job may add none, INVALID_PIPELINE, INVALID_FIELD, TOO_LARGE, RUN_FINISHED.
 */
export async function addJobs(
  { stores, edit, events }: AddJobsOptions,
  request: AddJobsRequest,
  principal: Principal,
): Promise<string[]> {
  const { source } = request;
  if (principal.taskId === undefined)
    throw new KedgeError("PERMISSION_DENIED", "jobs are added by a running step, with the token it is given", {
      hint: "call `kedge job add` in a step of a job with adds-jobs",
    });
  assertRequest(request);
  const key = request.idempotencyKey || createHash("sha256").update(source).digest("hex");
  const components = componentSources(stores, usedComponents(source));
  let added: readonly JobSpec[] = [];
  const run = await edit(principal.runId ?? "", (draft) => {
    const adder = callingJob(draft, principal);
    added = [];
    if (jobsOfKey(draft, adder, key).length > 0) return;
    added = compiled(draft, source, components);
    assertAllowed(draft, adder, added);
    const addedBy = adder.spec?.name ?? "";
    const state = JobState.WAITING;
    draft.jobs.push(...added.map((spec) => create(JobSchema, { spec, state, addedBy, addedKey: key })));
  });
  const adder = callingJob(run, principal);
  const names = jobsOfKey(run, adder, key);
  if (added.length > 0) {
    const message = `${adder.spec?.name} added ${names.join(", ")}`;
    const fields = { job: adder.spec?.name ?? "", task: principal.taskId ?? "" };
    events.record({ kind: "run", name: run.id, reason: "JobsAdded", message, fields });
  }
  return names;
}

function assertRequest({ source, idempotencyKey }: AddJobsRequest): void {
  if (Buffer.byteLength(source) > MAX_SOURCE_BYTES)
    throw new KedgeError("TOO_LARGE", `source has more than ${MAX_SOURCE_BYTES} bytes`, { field: "source" });
  if (idempotencyKey.length > MAX_KEY)
    throw new KedgeError("INVALID_FIELD", `idempotency_key has more than ${MAX_KEY} characters`, {
      field: "idempotency_key",
    });
}

/** The job whose running attempt calls; the token may have been good a moment ago. */
function callingJob(run: Run, { taskId = "" }: Principal): Job {
  const job = run.jobs.find((candidate) => currentTask(candidate)?.id === taskId);
  const task = job && currentTask(job);
  const isOver = task === undefined || isTaskEnded(task.state) || (job !== undefined && isJobEnded(job.state));
  if (job !== undefined && !isOver && !isRunEnded(run.state) && !run.cancelRequested && task.ending === undefined)
    return job;
  throw new KedgeError("RUN_FINISHED", `task ${taskId} is over, or has to end`, { field: "run_id" });
}

function jobsOfKey(run: Run, adder: Job, key: string): string[] {
  const isOfKey = ({ addedBy, addedKey }: Job): boolean => addedBy === adder.spec?.name && addedKey === key;
  return run.jobs.filter(isOfKey).map(({ spec }) => spec?.name ?? "");
}

function compiled(run: Run, source: string, components: ReadonlyMap<string, string>): JobSpec[] {
  const jobs = run.jobs.flatMap(({ spec }) => spec ?? []);
  const { spec, diagnostics } = compileFragment(source, { pipeline: run.pipeline, jobs, components });
  if (spec !== undefined) return spec.jobs;
  throw new KedgeError("INVALID_PIPELINE", diagnosticText(diagnostics), { field: "source" });
}

function assertAllowed(run: Run, adder: Job, added: readonly JobSpec[]): void {
  const most = adder.spec?.maxAddedJobs ?? 0;
  const before = run.jobs.filter(({ addedBy }) => addedBy === adder.spec?.name).length;
  if (before + added.length > most || run.jobs.length + added.length > MAX_JOBS) {
    const message = `${adder.spec?.name} may add ${most} jobs, has added ${before}, and wants ${added.length} more`;
    throw new KedgeError("PERMISSION_DENIED", message, { field: "source", hint: "raise adds-jobs of the job" });
  }
  const own = new Set(adder.spec === undefined ? [] : secretNames(adder.spec));
  for (const spec of added) {
    const problem = excess(spec, adder, own);
    if (problem !== undefined)
      throw new KedgeError("PERMISSION_DENIED", `jobs.${spec.name} ${problem}`, { field: `jobs.${spec.name}` });
  }
}

/** What a job asks for beyond the job that adds it. */
function excess(spec: JobSpec, adder: Job, ownSecrets: ReadonlySet<string>): string | undefined {
  if (!ALLOWED.has(spec.work.case)) return `is of a kind that cannot be added: ${spec.work.case}`;
  if (spec.maxAddedJobs > 0) return "may not add jobs: it is added itself";
  if (spec.environment !== "" && spec.environment !== adder.spec?.environment)
    return `is of environment ${spec.environment}, and the job that adds it is not`;
  if (spec.priority > (adder.spec?.priority ?? 0)) return "has a higher priority than the job that adds it";
  const tolerated = new Set(adder.spec?.placement?.tolerations);
  const taint = spec.placement?.tolerations.find((key) => !tolerated.has(key));
  if (taint !== undefined) return `tolerates ${taint}, which the job that adds it does not`;
  const secret = secretNames(spec).find((name) => !ownSecrets.has(name));
  return secret === undefined ? undefined : `asks for secret ${secret}, which the job that adds it does not have`;
}
