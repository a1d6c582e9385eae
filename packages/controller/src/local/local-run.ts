import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, isRunEnded, isTaskEnded, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { resolveJob } from "@kedge/pipeline";
import {
  type Artifact,
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  type PipelineSpec,
  type Run,
  type Source,
  type TaskEvent,
  TaskEventSchema,
  type TaskOffer,
  TaskOfferSchema,
  TaskSchema,
  TaskState,
} from "@kedge/proto";
import { type OfferedFiles, offeredFiles } from "../files/job-files.ts";
import { nextDeadlineMs } from "../runs/deadlines.ts";
import { newRun } from "../runs/new-run.ts";
import { progressRun } from "../runs/progress.ts";
import { resolveContext } from "../runs/resolve-context.ts";
import { applyTaskEvent, currentTask, failJob } from "../runs/task-events.ts";
import { nextAttempt } from "../scheduling/job-demand.ts";
import { secretNames } from "../secrets/job-secrets.ts";

/** A run without a controller. */
export interface LocalRunOptions {
  readonly id: string;
  readonly spec: PipelineSpec;
  readonly parameters: Readonly<Record<string, string>>;
  readonly source: Source | undefined;
  /** Name of the one node there is. */
  readonly nodeId: string;
  /** Jobs that may run at once. */
  readonly maxJobs: number;
  readonly clock: Clock;
}

/** A task that is to be started, and the names of the secrets that it asks for. */
export interface LocalTask {
  readonly offer: TaskOffer;
  readonly secrets: readonly string[];
}

/** What the caller has to do. Each thing is told once, but the tasks to end as long as they run. */
export interface LocalWork {
  readonly start: readonly LocalTask[];
  /** Ids of tasks that must end. */
  readonly end: readonly string[];
  /** Approval jobs that wait for an answer. */
  readonly ask: readonly Job[];
}

const NOT_HERE = "not carried out by a local run";

/**
 * The state of one run as the controller would keep it, moved on by the same code: needs, conditions, matrices, retries,
 * gates, time limits. What needs an installation (deployments, calls of other pipelines, notifications) is skipped and says
 * so. One run at a time may use it; nothing is stored.
 */
export class LocalRun {
  readonly #options: LocalRunOptions;
  readonly #run: Run;
  readonly #asked = new Set<string>();

  constructor(options: LocalRunOptions) {
    const { id, spec, parameters, source, clock } = options;
    this.#options = options;
    // Other runs are of no account, and whoever starts it has let it begin.
    const { runConcurrency: _, ...alone } = spec;
    const own = { submittedBy: "local", team: "", idempotencyKey: "", labels: {}, nowMs: clock.now() };
    this.#run = newRun({ id, spec: alone, parameters, source, ...own });
  }

  /** The run as it stands; changed by the methods below. */
  get run(): Run {
    return this.#run;
  }

  /** Whether it is over. */
  get hasEnded(): boolean {
    return isRunEnded(this.#run.state);
  }

  /** When it should be moved on although nothing happens, milliseconds since 1970; undefined: never. */
  get nextDeadlineMs(): number | undefined {
    return nextDeadlineMs(this.#run);
  }

  /** Moves every job on as far as it can go, and says what is to be done now. */
  advance(): LocalWork {
    const at = this.#now();
    progressRun(this.#run, at, () => undefined);
    // What is skipped here may let others begin or end.
    while (this.#skipRemote(at)) progressRun(this.#run, at, () => undefined);
    const start = this.#run.jobs.flatMap((job) => this.#start(job, at));
    // One that could not be started may have ended the run.
    progressRun(this.#run, at, () => undefined);
    const tasks = this.#run.jobs.map(currentTask).filter((task) => task !== undefined && !isTaskEnded(task.state));
    const end = tasks.flatMap((task) => (task?.ending === undefined ? [] : [task.id]));
    const ask = this.#run.jobs.filter((job) => job.state === JobState.BLOCKED && !this.#asked.has(nameOf(job)));
    for (const job of ask) this.#asked.add(nameOf(job));
    return { start, end, ask };
  }

  /** Takes what a task tells. */
  take(event: TaskEvent): void {
    if (!applyTaskEvent(this.#run, event, this.#now()) || event.event.case !== "finished") return;
    const job = this.#run.jobs.find((each) => nameOf(each) === event.ref?.job);
    // A controller asks its own store what was left; here the node is our own.
    if (job !== undefined) job.artifacts = event.event.value.artifacts;
  }

  /** Takes a person's word on an approval job; one that does not wait any more stays as it is. */
  decide(name: string, approved: boolean): void {
    const job = this.#run.jobs.find((each) => nameOf(each) === name);
    if (job?.state !== JobState.BLOCKED) return;
    const at = this.#now();
    job.decidedBy = "local";
    if (!approved) {
      failJob(job, create(FailureSchema, { class: FailureClass.REJECTED, message: "rejected" }), at);
      return;
    }
    Object.assign(job, { state: JobState.SUCCEEDED, reason: "approved", finishedAt: at });
  }

  /** Ends the run: what runs is told to end, post steps included in what still happens. */
  cancel(reason: string): void {
    if (this.#run.cancelRequested || this.hasEnded) return;
    this.#run.cancelRequested = true;
    this.#run.reason = reason;
  }

  #now(): Timestamp {
    return timestampFromMs(this.#options.clock.now());
  }

  #skipRemote(at: Timestamp): boolean {
    let skipped = false;
    for (const job of this.#run.jobs) {
      const kind = job.spec?.work.case;
      const isRemote = kind === "deploy" || kind === "call" || kind === "notify";
      if (!isRemote || job.state !== JobState.RUNNING) continue;
      Object.assign(job, { state: JobState.SKIPPED, reason: `${kind}: ${NOT_HERE}`, finishedAt: at });
      skipped = true;
    }
    return skipped;
  }

  #start(job: Job, at: Timestamp): LocalTask[] {
    const { nodeId, maxJobs } = this.#options;
    const running = this.#run.jobs.filter(({ state }) => state === JobState.OFFERED || state === JobState.RUNNING);
    if (job.state !== JobState.PENDING || job.spec === undefined || running.length >= maxJobs) return [];
    const { fence, taskId } = nextAttempt(this.#run, job);
    const ref = { nodeId, taskId, fence, runId: this.#run.id, job: nameOf(job) };
    const files = this.#files(job, at);
    if (files === undefined) return [];
    const offer = create(TaskOfferSchema, {
      ...{ ref, ...files },
      job: resolveJob(job.spec, resolveContext(this.#run)),
      ...(this.#run.source === undefined ? {} : { source: this.#run.source }),
      offeredAt: at,
    });
    job.tasks.push(create(TaskSchema, { id: taskId, nodeId, fence, state: TaskState.OFFERED, offeredAt: at }));
    Object.assign(job, { state: JobState.OFFERED, reason: "" });
    this.take(create(TaskEventSchema, { ref, at, event: { case: "claimed", value: {} } }));
    return [{ offer, secrets: secretNames(job.spec) }];
  }

  /** What the job begins with; undefined when that is not there, for which the job has failed. */
  #files(job: Job, at: Timestamp): OfferedFiles | undefined {
    const find = ({ job: producer, name }: { readonly job: string; readonly name: string }): Artifact => {
      const left = this.#run.jobs.find((each) => nameOf(each) === producer)?.artifacts ?? [];
      const artifact = left.find((each) => each.name === name);
      if (artifact !== undefined) return artifact;
      throw new KedgeError("ARTIFACT_NOT_FOUND", `job ${producer} left no artifact ${name}`);
    };
    try {
      return offeredFiles({ find }, this.#run, job);
    } catch (error) {
      if (!isKedgeError(error)) throw error;
      failJob(job, create(FailureSchema, { class: FailureClass.INVALID, message: error.message }), at);
      return undefined;
    }
  }
}

function nameOf(job: Job): string {
  return job.spec?.name ?? "";
}
