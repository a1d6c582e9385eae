import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Bus, offerTask, type Signer, withdrawTask } from "@kedge/bus";
import type { Clock } from "@kedge/kernel";
import { type ResolveContext, resolveJob } from "@kedge/pipeline";
import {
  type Job,
  type Run,
  type Task,
  type TaskOffer,
  TaskOfferSchema,
  type TaskRefFull,
  TaskRefFullSchema,
} from "@kedge/proto";
import { mintTaskToken } from "../auth/task-token.ts";
import { LEASE_MS } from "../nodes/registry.ts";

/** An offer nobody claimed is published again after this time... */
export const OFFER_REPEAT_MS = 5_000;
/** ...and taken back after this. */
export const OFFER_TIMEOUT_MS = 20_000;

const MAX_REMEMBERED = 10_000;

/** What offers are made with. */
export interface DispatcherOptions {
  readonly bus: Bus;
  readonly signer: Signer;
  readonly clock: Clock;
  /** host:port at which agents reach the controller's gRPC service. */
  readonly controllerAddress: () => string;
}

/** Publishes offers and takes them back. Doing either twice does no harm: offers carry their task's id, claims are compare-and-set. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  /** When this process last published each offer; saves repeating what is certainly there. */
  readonly #published = new Map<string, number>();

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  async offer(run: Run, job: Job, task: Task): Promise<void> {
    const { bus, signer, clock } = this.#options;
    const nowMs = clock.now();
    const publishedMs = this.#published.get(task.id);
    if (publishedMs !== undefined && nowMs - publishedMs < OFFER_REPEAT_MS) return;
    await offerTask(bus, signer, this.#offer(run, job, task));
    this.#published.set(task.id, nowMs);
    if (this.#published.size > MAX_REMEMBERED) this.#forgetOld(nowMs);
  }

  /** Takes an unclaimed offer back; "claimed" when the agent was faster. */
  withdraw(run: Run, job: Job, task: Task, reason: string): Promise<"withdrawn" | "claimed"> {
    return withdrawTask(this.#options.bus, taskRef(run, job, task), reason);
  }

  /** How long ago the task was offered, in milliseconds. */
  offerAgeMs(task: Task): number {
    return task.offeredAt === undefined ? 0 : this.#options.clock.now() - timestampMs(task.offeredAt);
  }

  #forgetOld(nowMs: number): void {
    for (const [taskId, atMs] of this.#published) if (nowMs - atMs > OFFER_REPEAT_MS) this.#published.delete(taskId);
  }

  #offer(run: Run, job: Job, task: Task): TaskOffer {
    const ref = taskRef(run, job, task);
    if (job.spec === undefined) throw new TypeError("a job without a spec cannot be offered");
    return create(TaskOfferSchema, {
      ref,
      job: resolveJob(job.spec, resolveContext(run)),
      ...(run.source === undefined ? {} : { source: run.source }),
      runToken: mintTaskToken(this.#options.signer, ref),
      controllerAddress: this.#options.controllerAddress(),
      leaseSeconds: LEASE_MS / 1000,
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

/** What a run's late-bound expressions are looked up in. */
export function resolveContext(run: Run): ResolveContext {
  return {
    jobs: new Map(run.jobs.map((job) => [job.spec?.name ?? "", { outputs: job.outputs, metrics: job.metrics }])),
    run: { id: run.id, commit: run.source?.commit ?? "", ref: run.source?.ref ?? "" },
  };
}
