import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Bus, lastTaskEvent, offerTask, type Signer, withdrawTask } from "@kedge/bus";
import { isKedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { resolveJob } from "@kedge/pipeline";
import {
  type Job,
  type Run,
  type Task,
  type TaskEvent,
  type TaskOffer,
  TaskOfferSchema,
  type TaskRefFull,
  TaskRefFullSchema,
  TaskState,
} from "@kedge/proto";
import { mintStepToken, mintTaskToken } from "../auth/task-token.ts";
import type { Artifacts } from "../files/artifacts.ts";
import { offeredFiles } from "../files/job-files.ts";
import { LEASE_MS } from "../nodes/registry.ts";
import type { JobSecrets } from "../secrets/job-secrets.ts";
import { resolveContext } from "./resolve-context.ts";
import { currentTask, refuseTask } from "./task-events.ts";

/** An offer nobody claimed is taken back after this time. */
export const OFFER_TIMEOUT_MS = 20_000;

const MAX_REMEMBERED = 10_000;

/** What offers are made with. */
export interface DispatcherOptions {
  readonly bus: Bus;
  readonly signer: Signer;
  readonly clock: Clock;
  /** host:port at which agents reach the controller's gRPC service. */
  readonly controllerAddress: () => string;
  readonly secrets: Pick<JobSecrets, "sealFor">;
  readonly artifacts: Artifacts;
}

/** Publishes offers and takes them back. Doing either twice does no harm: offers carry their task's id, claims are compare-and-set. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  /** Under which connection this process published each offer: what the server confirmed is there until it restarts. */
  readonly #published = new Map<string, { readonly epoch: number; readonly atMs: number }>();
  /** Why an offer can never be made, by task, until the run's document says so. */
  readonly #refused = new Map<string, string>();

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  async offer(run: Run, job: Job, task: Task): Promise<void> {
    const { bus, signer, clock } = this.#options;
    const nowMs = clock.now();
    const { epoch } = bus;
    if (this.#published.get(task.id)?.epoch === epoch) return;
    try {
      await offerTask(bus, signer, await this.#offer(run, job, task));
    } catch (error) {
      if (!isKedgeError(error) || error.retryable) throw error;
      this.#refused.set(task.id, error.message);
      return;
    }
    this.#published.set(task.id, { epoch, atMs: nowMs });
    if (this.#published.size > MAX_REMEMBERED) this.#forgetOld(nowMs);
  }

  /** Tells whether an offer of the run was found impossible and its document does not say so yet. */
  hasNews(run: Run): boolean {
    return this.#refused.size > 0 && run.jobs.some((job) => this.#refused.has(currentTask(job)?.id ?? ""));
  }

  /** Fails the jobs whose offers can never be made, in place. */
  observe(run: Run, at: Timestamp): void {
    if (this.#refused.size === 0) return;
    for (const job of run.jobs) {
      const task = currentTask(job);
      const refusal = task === undefined ? undefined : this.#refused.get(task.id);
      if (task === undefined || refusal === undefined) continue;
      if (task.state === TaskState.OFFERED) refuseTask(job, task, refusal, at);
      else this.#refused.delete(task.id);
    }
  }

  /** Takes an unclaimed offer back; "claimed" when the agent was faster. */
  withdraw(run: Run, job: Job, task: Task, reason: string): Promise<"withdrawn" | "claimed"> {
    return withdrawTask(this.#options.bus, taskRef(run, job, task), reason);
  }

  /** The newest event of an attempt that is stored, read or not. */
  lastEvent(run: Run, job: Job, task: Task): Promise<TaskEvent | undefined> {
    return lastTaskEvent(this.#options.bus, taskRef(run, job, task));
  }

  /** How long ago the task was offered, in milliseconds. */
  offerAgeMs(task: Task): number {
    return task.offeredAt === undefined ? 0 : this.#options.clock.now() - timestampMs(task.offeredAt);
  }

  #forgetOld(nowMs: number): void {
    for (const [taskId, { atMs }] of this.#published) {
      if (nowMs - atMs <= OFFER_TIMEOUT_MS) return;
      this.#published.delete(taskId);
    }
  }

  async #offer(run: Run, job: Job, task: Task): Promise<TaskOffer> {
    const ref = taskRef(run, job, task);
    if (job.spec === undefined) throw new TypeError("a job without a spec cannot be offered");
    return create(TaskOfferSchema, {
      ref,
      job: resolveJob(job.spec, resolveContext(run)),
      ...offeredFiles(this.#options.artifacts, run, job),
      ...(run.source === undefined ? {} : { source: run.source }),
      runToken: mintTaskToken(this.#options.signer, ref),
      stepToken: job.spec.maxAddedJobs > 0 ? mintStepToken(this.#options.signer, ref) : "",
      controllerAddress: this.#options.controllerAddress(),
      leaseSeconds: LEASE_MS / 1000,
      gpuIndices: task.gpuIndices,
      sealedSecrets: await this.#options.secrets.sealFor(run, job, ref),
      offeredAt: task.offeredAt ?? timestampFromMs(this.#options.clock.now()),
    });
  }
}

/** The full name of one attempt. */
export function taskRef(run: Run, job: Job, task: Task): TaskRefFull {
  return create(TaskRefFullSchema, {
    nodeId: task.nodeId,
    taskId: task.id,
    fence: task.fence,
    runId: run.id,
    job: job.spec?.name ?? "",
  });
}
