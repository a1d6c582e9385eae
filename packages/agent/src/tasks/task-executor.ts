import { rm } from "node:fs/promises";
import type { Clock, Logger } from "@kedge/kernel";
import type { LogChunk, TaskEvent, TaskOffer, TaskRef, TaskRefFull } from "@kedge/proto";
import type { FileStore } from "../files/file-store.ts";
import type { FlagAccess } from "../flags/flag-access.ts";
import type { Lease } from "../node/lease.ts";
import { sweepSecretFiles } from "../secrets/secrets-folder.ts";
import type { StepRuntimes } from "../steps/step-context.ts";
import { cleanUpTask } from "./clean-up.ts";
import { endedByInterruption, isAdoptable } from "./interrupted-claim.ts";
import { sweepOrphans } from "./orphans.ts";
import { isTaskId, TaskRecord } from "./task-record.ts";
import { type TaskOutcome, TaskRunner } from "./task-runner.ts";
import { makeWorkspace } from "./workspace.ts";

/** An offer, verified to be the controller's and for this node, and the ways to answer for its delivery; none fails. */
export interface OfferDelivery {
  readonly offer: TaskOffer;
  ack(): Promise<void>;
  /** Deliver it again, after a while. */
  nak(delayMs?: number): void;
  /** Never deliver it again. */
  term(): void;
}

/** The executor's way to the controller. */
export interface TaskBus {
  /** First message on the task's subject wins; an error leaves open who did. */
  claim(ref: TaskRefFull, bootId: string): Promise<"claimed" | "lost">;
  publishEvent(event: TaskEvent): Promise<void>;
  publishLog(chunk: LogChunk): Promise<void>;
}

/** How tasks are run on this node. */
export interface TaskExecutorOptions {
  readonly nodeId: string;
  /** New at each start of the agent. */
  readonly bootId: string;
  /** Folder for records and workspaces. */
  readonly tasksDir: string;
  readonly bus: TaskBus;
  readonly lease: Lease;
  readonly runtimes: StepRuntimes;
  readonly flags: FlagAccess;
  readonly caPem: string;
  readonly newFileStore: (offer: TaskOffer) => FileStore;
  /** Private half of the node's key that secrets are sealed to. */
  readonly sealKey: Uint8Array;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly keepWorkspaces: boolean;
  /** Most bytes of a task's output that are kept in its log; default 1 GiB. */
  readonly logLimitBytes?: number | undefined;
  /** The set of running tasks changed. */
  readonly onChange: () => void;
  readonly onEnd: (outcome: TaskOutcome) => void;
}

const RETRY_OFFER_MS = 1000;
const SWEEP_MS = 60_000;

/** Claims offered tasks and runs them, many at once; adopts those of an earlier agent process. */
export class TaskExecutor {
  readonly #options: TaskExecutorOptions;
  readonly #runners = new Map<string, TaskRunner>();
  readonly #work = new Set<Promise<void>>();
  readonly #cancelled = new Set<string>();
  #stopping = false;
  #cancelSweep: () => void = () => {};

  constructor(options: TaskExecutorOptions) {
    this.#options = options;
  }

  /** Tasks that run now. */
  get running(): Pick<TaskRef, "taskId" | "fence">[] {
    return [...this.#runners.values()].map(({ ref }) => ({ taskId: ref.taskId, fence: ref.fence }));
  }

  /** Goes on with the tasks on the disk if the lease still holds, else ends them; removes workloads of no task. */
  async recover(): Promise<void> {
    const { tasksDir, lease, runtimes, keepWorkspaces, logger } = this.#options;
    const records = await TaskRecord.loadAll(tasksDir);
    for (const record of records) {
      if (lease.held || record.progress.phase === "finished") this.#adopt(record);
      else {
        logger.warn({ taskId: record.ref.taskId }, "lease ran out while the agent was down, ending the task");
        await cleanUpTask({ record, runtimes, keepWorkspaces, logger });
      }
    }
    const live = new Set(records.map((record) => record.ref.taskId));
    await sweepSecretFiles(tasksDir, live);
    await this.#sweep();
  }

  /** Answers one offer: claims and runs it, or says why not. Never throws. */
  async take(delivery: OfferDelivery): Promise<void> {
    const { lease, logger, clock, tasksDir, nodeId, bootId } = this.#options;
    const { offer } = delivery;
    const { ref } = offer;
    if (ref === undefined || ref.nodeId !== nodeId || !isTaskId(ref.taskId) || offer.job?.work.case !== "steps") {
      logger.warn({ taskId: ref?.taskId }, "offer refused: not a task for this node");
      return delivery.term();
    }
    if (this.#runners.has(ref.taskId)) return delivery.ack();
    if (this.#stopping) return delivery.nak(RETRY_OFFER_MS);
    if (this.#cancelled.has(ref.taskId)) return delivery.ack();
    if (!(await lease.ensureFresh())) return delivery.nak(RETRY_OFFER_MS);
    const record = TaskRecord.make(tasksDir, offer, { ref, bootId, nowMs: clock.now() });
    await this.#claim(record, delivery);
  }

  /** Makes the set of cancelled tasks be this one; ends those that run. */
  cancel(taskIds: readonly string[]): void {
    this.#cancelled.clear();
    for (const taskId of taskIds) {
      this.#cancelled.add(taskId);
      this.#runners.get(taskId)?.cancel();
    }
  }

  /** Ends all tasks at once, without reports: the lease ran out. */
  loseAll(): void {
    for (const runner of this.#runners.values()) runner.lose();
  }

  /** Lets go of all tasks; they run on, for the next agent process to adopt. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#cancelSweep();
    for (const runner of this.#runners.values()) runner.detach();
    await Promise.all(this.#work);
  }

  async #claim(record: TaskRecord, delivery: OfferDelivery): Promise<void> {
    const { bus, logger } = this.#options;
    const { ref } = record;
    const runner = this.#makeRunner(record, false);
    this.#runners.set(ref.taskId, runner);
    // The record is on the disk before the work starts, and its writing does not delay the claim.
    const [claim, written] = await Promise.allSettled([bus.claim(ref, record.progress.bootId), this.#prepare(record)]);
    if (claim.status === "fulfilled" && claim.value === "claimed" && written.status === "fulfilled") {
      this.#run(record, runner);
      return delivery.ack();
    }
    this.#runners.delete(ref.taskId);
    if (claim.status === "fulfilled" && claim.value === "lost") {
      await rm(record.directory, { recursive: true, force: true });
      return delivery.ack();
    }
    const failed = claim.status === "rejected" ? claim.reason : written.status === "rejected" && written.reason;
    logger.warn({ err: failed, taskId: ref.taskId }, "claim failed");
    this.#adopt(record);
    await delivery.ack();
  }

  async #prepare(record: TaskRecord): Promise<void> {
    makeWorkspace(record.workspace);
    record.save();
  }

  #makeRunner(record: TaskRecord, adopted: boolean): TaskRunner {
    const { bus, runtimes, flags, caPem, sealKey, clock, logger, keepWorkspaces, logLimitBytes } = this.#options;
    return new TaskRunner({
      ...{ record, runtimes, flags, caPem, sealKey, clock, logger, keepWorkspaces, logLimitBytes, adopted },
      fileStore: this.#options.newFileStore(record.offer),
      publishEvent: (event) => bus.publishEvent(event),
      publishLog: (chunk) => bus.publishLog(chunk),
    });
  }

  /** Takes up a task whose claim may or may not have been stored, or that already ran. */
  #adopt(record: TaskRecord): void {
    const runner = this.#makeRunner(record, true);
    this.#runners.set(record.ref.taskId, runner);
    this.#run(record, runner, async () => {
      const { bus, clock, logger, lease, runtimes } = this.#options;
      const alive = () => lease.held && !this.#stopping;
      const settled = await isAdoptable(record, { bus, clock, logger, runtimes, alive });
      if (settled === "adopt") return true;
      if (settled === "unknown") {
        Object.assign(record.progress, { phase: "finished", finished: endedByInterruption() });
        return true;
      }
      if (!this.#stopping) await rm(record.directory, { recursive: true, force: true });
      return false;
    });
  }

  #run(record: TaskRecord, runner: TaskRunner, prepare?: () => Promise<boolean>): void {
    const { taskId } = record.ref;
    const { logger, onChange, onEnd } = this.#options;
    const work = this.#runToEnd(runner, prepare)
      .catch((error: unknown) => {
        logger.error({ err: error, taskId }, "task not carried out");
        return "failed" as const;
      })
      .then((outcome) => {
        if (this.#runners.get(taskId) === runner) this.#runners.delete(taskId);
        this.#work.delete(work);
        logger.info({ taskId, outcome }, "task left");
        onEnd(outcome);
        onChange();
      });
    this.#work.add(work);
    onChange();
  }

  async #runToEnd(runner: TaskRunner, prepare?: () => Promise<boolean>): Promise<TaskOutcome> {
    if (prepare !== undefined && !(await prepare())) return this.#stopping ? "detached" : "lost";
    return runner.run();
  }

  /** Looks for what is left of tasks that are over, now and every minute. */
  async #sweep(): Promise<void> {
    const { nodeId, tasksDir, runtimes, clock, logger } = this.#options;
    const isLive = (taskId: string): boolean => this.#stopping || this.#runners.has(taskId);
    await sweepOrphans({ nodeId, tasksDir, runtimes, isLive, logger });
    if (!this.#stopping) this.#cancelSweep = clock.after(SWEEP_MS, () => void this.#sweep());
  }
}
