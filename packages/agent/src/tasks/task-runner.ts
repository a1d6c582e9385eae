import { create, fromJson } from "@bufbuild/protobuf";
import type { Clock, Logger } from "@kedge/kernel";
import {
  ArtifactSchema,
  FailureClass,
  type LogChunk,
  type TaskEvent,
  type TaskFinished,
  TaskFinishedSchema,
  type TaskRef,
  TaskState,
} from "@kedge/proto";
import type { FileStore } from "../files/file-store.ts";
import { TaskFiles } from "../files/task-files.ts";
import type { FlagAccess } from "../flags/flag-access.ts";
import { openTaskSecrets, type TaskSecrets } from "../secrets/task-secrets.ts";
import { ServiceSet } from "../services/service-set.ts";
import { credentialPasswords } from "../steps/checkout/credential.ts";
import type { StepRuntimes } from "../steps/step-context.ts";
import { givenToken } from "../steps/step-context.ts";
import { StepFailure, toStepFailure } from "../steps/step-failure.ts";
import { cleanUpTask } from "./clean-up.ts";
import { EventOutbox } from "./event-outbox.ts";
import type { JobStatus } from "./job-plan.ts";
import { LeaseLost } from "./lease-lost.ts";
import { LogPublisher } from "./log-publisher.ts";
import { StepSequence } from "./step-sequence.ts";
import type { RecordedFailure, TaskProgress, TaskRecord } from "./task-record.ts";
import { timeLimit } from "./time-limit.ts";

/** What a task is run with. */
export interface TaskRunnerOptions {
  readonly record: TaskRecord;
  readonly runtimes: StepRuntimes;
  readonly flags: FlagAccess;
  readonly caPem: string;
  readonly fileStore: FileStore;
  /** Private half of the node's key that secrets are sealed to. */
  readonly sealKey: Uint8Array;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publishEvent: (event: TaskEvent) => Promise<void>;
  readonly publishLog: (chunk: LogChunk) => Promise<void>;
  /** Most bytes of a task's output that are kept in its log; undefined: 1 GiB. */
  readonly logLimitBytes?: number | undefined;
  /** Leave the workspace on the disk. */
  readonly keepWorkspaces: boolean;
  /** An earlier agent process, or an earlier try, may have begun the task. */
  readonly adopted: boolean;
}

/** How a task left this node; `detached`: it did not, a later agent goes on with it. */
export type TaskOutcome = "succeeded" | "failed" | "cancelled" | "lost" | "detached";

const DEFAULT_TIMEOUT_S = 3600;
const DEFAULT_CLEANUP_TIMEOUT_S = 300;
const KEEP_TIMEOUT_S = 1800;
const OUTCOMES: Partial<Record<TaskState, TaskOutcome>> = {
  [TaskState.SUCCEEDED]: "succeeded",
  [TaskState.CANCELLED]: "cancelled",
  [TaskState.LOST]: "lost",
};

/** Carries out one claimed task, from the step its record names, and reports its end exactly once. */
export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  readonly #record: TaskRecord;
  readonly #events: EventOutbox;
  readonly #log: LogPublisher;
  /** Ends the steps, not the post steps. */
  readonly #cancel = new AbortController();
  /** Ends the post steps. */
  readonly #cancelCleanup = new AbortController();
  /** Ends everything. */
  readonly #lost = new AbortController();
  /** Leaves the work as it is. */
  readonly #detach = new AbortController();
  /** Ends publishing. */
  readonly #mute = new AbortController();

  constructor(options: TaskRunnerOptions) {
    const { record, clock, publishEvent, publishLog } = options;
    this.#options = options;
    this.#record = record;
    const logger = options.logger.child({ taskId: record.ref.taskId });
    const common = { ref: record.ref, clock, logger, signal: this.#mute.signal };
    this.#events = new EventOutbox({ ...common, publish: publishEvent });
    const { logJournal: spool, workspace } = record;
    this.#log = new LogPublisher({
      ...common,
      publish: publishLog,
      spool,
      workspace,
      limitBytes: options.logLimitBytes,
    });
  }

  /** The task, as heartbeats and leases name it. */
  get ref(): Pick<TaskRef, "taskId" | "fence"> {
    return this.#record.ref;
  }

  /**
   * Ends the task with the state CANCELLED: its steps, after which the post steps run, or the post steps if it is at those
   * already. May be called again, also of an agent that took the task up after it was cancelled.
   */
  cancel(): void {
    const { cleanup, failure } = this.#record.progress;
    if (failure?.kind === "CANCELLED" || this.#cancel.signal.aborted) return;
    const controller = cleanup === undefined ? this.#cancel : this.#cancelCleanup;
    controller.abort(new StepFailure("CANCELLED", "cancelled"));
  }

  /** Ends the task at once and without a report: it may run elsewhere by now. */
  lose(): void {
    this.#mute.abort();
    this.#lost.abort(new LeaseLost("the node's lease ran out"));
  }

  /** Lets go of the task; what runs goes on running for the next agent to adopt. */
  detach(): void {
    this.#detach.abort();
    this.#mute.abort();
  }

  /** Runs the task to its end. Call once. */
  async run(): Promise<TaskOutcome> {
    const { progress } = this.#record;
    try {
      if (this.#options.adopted) this.#log.resume();
      return await this.#report(progress.finished ?? (await this.#work()));
    } catch (error) {
      if (this.#detach.signal.aborted) return "detached";
      if (error instanceof LeaseLost) return this.#leave();
      throw error;
    }
  }

  async #work(): Promise<TaskFinished> {
    const { runtimes, flags, caPem, clock, logger } = this.#options;
    const { progress, offer } = this.#record;
    // Told again by an agent that took the task up: its predecessor may have died before it did.
    this.#events.post({ case: "started", value: {} });
    const secrets = await this.#openSecrets();
    if (secrets instanceof StepFailure) return failedFinish(secrets);
    const passwords = credentialPasswords(offer.job, secrets.values);
    await this.#log.mask(new Map([...secrets.values, ...passwords, ...givenToken(offer)]));
    const common = { record: this.#record, runtimes, clock, logger, log: this.#log };
    const { logins } = secrets;
    const services = new ServiceSet({ ...common, logins });
    const files = new TaskFiles({ record: this.#record, store: this.#options.fileStore, log: this.#log });
    const sequence = new StepSequence({
      secrets: secrets.values,
      secretVariables: secrets.variables,
      secretsFolder: secrets.folder,
      logins,
      ...{ ...common, files, flags, caPem, events: this.#events, services: services.addresses },
      detached: this.#detach.signal,
    });
    try {
      if (progress.cleanup === undefined) await this.#steps(sequence, services);
      await this.#keepFiles(files, progress.cleanup?.status ?? sequence.status);
      if (sequence.hasPostSteps) await this.#postSteps(sequence, services);
    } finally {
      // What is lost is removed at once.
      const leaves = this.#detach.signal.aborted || this.#lost.signal.aborted;
      await (leaves ? services.detach() : services.end());
      await this.#log.close();
    }
    const { outputs, metrics, failure } = progress;
    const artifacts = progress.artifacts?.map((it) => fromJson(ArtifactSchema, it)) ?? [];
    if (failure === undefined) {
      return create(TaskFinishedSchema, { state: TaskState.SUCCEEDED, outputs, metrics, artifacts });
    }
    const { kind, message, exitCode, step } = failure;
    return create(TaskFinishedSchema, {
      state: kind === "CANCELLED" ? TaskState.CANCELLED : TaskState.FAILED,
      failure: { class: FailureClass[kind], message: message.slice(0, 2000), exitCode, step },
      ...{ outputs, metrics, artifacts },
    });
  }

  /** What the job may use and nobody may see. Not part of a step: without it none can begin. */
  async #openSecrets(): Promise<TaskSecrets | StepFailure> {
    try {
      return await openTaskSecrets(this.#record, this.#options.sealKey);
    } catch (error) {
      const failure = toStepFailure(error);
      await this.#log.note("", failure.message);
      await this.#log.close();
      return failure;
    }
  }

  async #steps(sequence: StepSequence, services: ServiceSet): Promise<void> {
    const { clock } = this.#options;
    const { offer, progress } = this.#record;
    const seconds = offer.job?.timeoutSeconds || DEFAULT_TIMEOUT_S;
    const limit = timeLimit(clock, progress.startedAtMs, seconds, `the job took longer than ${seconds} s`);
    try {
      const signal = AbortSignal.any([this.#cancel.signal, this.#lost.signal, limit.signal]);
      const failure = await this.#prepare(services, signal);
      if (failure === undefined) return await sequence.runSteps(signal);
      progress.failure ??= failure;
      sequence.skipSteps();
    } finally {
      limit.cancel();
    }
  }

  /** Makes ready what the steps need; resolves with why it is not. Done again by an agent that took the task up. */
  async #prepare(services: ServiceSet, signal: AbortSignal): Promise<RecordedFailure | undefined> {
    if (services.isEmpty) return undefined;
    const { progress } = this.#record;
    try {
      const detaching = AbortSignal.any([signal, this.#detach.signal]);
      const failure = await services.start(progress.isPrepared === true, detaching);
      if (failure !== undefined || progress.isPrepared === true) return failure;
    } catch (error) {
      if (this.#detach.signal.aborted || signal.reason instanceof LeaseLost || !signal.aborted) throw error;
      const { kind, message, exitCode } = toStepFailure(signal.reason);
      return { kind, message, exitCode, step: "" };
    }
    Object.assign(progress, { phase: "running", isPrepared: true, stepStartedAtMs: this.#options.clock.now() });
    this.#record.save();
    return undefined;
  }

  async #postSteps(sequence: StepSequence, services: ServiceSet): Promise<void> {
    const { clock } = this.#options;
    const { offer, progress } = this.#record;
    const { status, sinceMs } = progress.cleanup ?? this.#beginCleanup(sequence.status);
    const seconds = offer.job?.cleanupTimeoutSeconds || DEFAULT_CLEANUP_TIMEOUT_S;
    const limit = timeLimit(clock, sinceMs, seconds, `the post steps took longer than ${seconds} s`);
    try {
      const signal = AbortSignal.any([this.#cancelCleanup.signal, this.#lost.signal, limit.signal]);
      // An agent that took the task up at this point does not know them yet.
      if (progress.isPrepared === true && services.addresses.size === 0) await this.#prepare(services, signal);
      await sequence.runPostSteps(status, signal);
    } finally {
      limit.cancel();
    }
  }

  /** Stores what the steps left; a cancel ends it if it was not what ended the steps. */
  async #keepFiles(files: TaskFiles, status: JobStatus): Promise<void> {
    const { clock } = this.#options;
    const { offer, progress } = this.#record;
    const patience = status === "cancelled" ? 0 : KEEP_TIMEOUT_S;
    const seconds = Math.max(patience, offer.job?.cleanupTimeoutSeconds || DEFAULT_CLEANUP_TIMEOUT_S);
    const limit = timeLimit(clock, clock.now(), seconds, `storing artifacts took longer than ${seconds} s`);
    const cancels = this.#cancel.signal.aborted ? [] : [this.#cancel.signal];
    const signal = AbortSignal.any([...cancels, this.#lost.signal, this.#detach.signal, limit.signal]);
    try {
      await files.keep(status, signal);
    } catch (error) {
      if (!signal.aborted || this.#detach.signal.aborted || signal.reason instanceof LeaseLost) throw error;
      const { kind, message, exitCode } = toStepFailure(signal.reason);
      progress.failure ??= { kind, message, exitCode, step: "" };
    } finally {
      limit.cancel();
    }
  }

  #beginCleanup(status: JobStatus): NonNullable<TaskProgress["cleanup"]> {
    const sinceMs = this.#options.clock.now();
    const cleanup = { status, sinceMs };
    Object.assign(this.#record.progress, { phase: "running", cleanup, stepStartedAtMs: sinceMs });
    this.#record.save();
    return cleanup;
  }

  /** Stores the end, tells it, and only then forgets the task. */
  async #report(finished: TaskFinished): Promise<TaskOutcome> {
    const { progress } = this.#record;
    // An agent that takes up an ended task may have the last of its log still to send.
    await this.#log.close();
    // An end that an earlier agent process stored has its steps already.
    if (progress.finished === undefined) finished.steps = this.#events.takeSteps();
    Object.assign(progress, { phase: "finished", finished });
    this.#record.save();
    await this.#events.finish(finished);
    return this.#leave(finished.state);
  }

  /** Without a state: the task is not this node's any more. */
  async #leave(state = TaskState.LOST): Promise<TaskOutcome> {
    const { keepWorkspaces, runtimes, logger } = this.#options;
    if (this.#detach.signal.aborted) return "detached";
    await cleanUpTask({ record: this.#record, runtimes, keepWorkspaces, logger });
    return this.#mute.signal.aborted ? "lost" : (OUTCOMES[state] ?? "failed");
  }
}

function failedFinish({ failureClass, message }: StepFailure): TaskFinished {
  const failure = { class: failureClass, message: message.slice(0, 2000) };
  return create(TaskFinishedSchema, { state: TaskState.FAILED, failure });
}
