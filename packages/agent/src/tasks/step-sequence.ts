import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock, Logger } from "@kedge/kernel";
import { JobState } from "@kedge/proto";
import type { RegistryLogins } from "@kedge/runtime";
import type { TaskFiles } from "../files/task-files.ts";
import type { FlagAccess } from "../flags/flag-access.ts";
import { handOutGpus } from "../node/gpu-handout.ts";
import { performStep } from "../steps/perform-step.ts";
import { workloadId } from "../steps/run-step.ts";
import type { StepRuntimes } from "../steps/step-context.ts";
import { StepFailure, toStepFailure } from "../steps/step-failure.ts";
import type { EventOutbox } from "./event-outbox.ts";
import { type JobStatus, type PlannedStep, planOf, runsOn } from "./job-plan.ts";
import { LeaseLost } from "./lease-lost.ts";
import type { LogPublisher } from "./log-publisher.ts";
import type { TaskRecord } from "./task-record.ts";
import { timeLimit } from "./time-limit.ts";

/** What a task's steps are carried out with. */
export interface StepSequenceOptions {
  readonly record: TaskRecord;
  readonly runtimes: StepRuntimes;
  readonly flags: FlagAccess;
  readonly caPem: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventOutbox;
  readonly log: LogPublisher;
  readonly files: TaskFiles;
  /** IPv4 addresses of the job's services by name; filled before the first step. */
  readonly services: ReadonlyMap<string, string>;
  /** Opened before the first step. */
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  readonly secretVariables: Readonly<Record<string, string>>;
  readonly secretsFolder: string | undefined;
  readonly logins: RegistryLogins;
  /** Leaves the step: a later agent goes on with it. */
  readonly detached: AbortSignal;
}

/**
 * Carries out the steps of one task, from the one that its record names on. What they come to is in the record: outputs,
 * metrics, and the failure that decides the job. An error that is thrown says that the agent lets go of the task, or has
 * lost it.
 */
export class StepSequence {
  readonly #options: StepSequenceOptions;
  readonly #plan: readonly PlannedStep[];

  constructor(options: StepSequenceOptions) {
    this.#options = options;
    this.#plan = planOf(options.record.offer.job);
  }

  /** Whether there are steps to be run after the others, whatever those came to. */
  get hasPostSteps(): boolean {
    return this.#plan.some(({ isPost }) => isPost);
  }

  /** The job's own steps; each by what became of those before it. When the signal aborts, none of the rest runs. */
  async runSteps(signal: AbortSignal): Promise<void> {
    const { progress } = this.#options.record;
    for (const planned of this.#plan) {
      if (planned.isPost || planned.index < progress.step) continue;
      // After the sources: what is cached may depend on them.
      if (planned.step.action.case !== "checkout") await this.#fetchFiles(signal);
      if (signal.aborted) progress.failure ??= failureBy(signal);
      const runs = !signal.aborted && runsOn(planned.runOn, this.status);
      if (runs) await this.#run(planned, signal);
      else this.#skip(planned);
    }
    // Skipped for an earlier failure, a step does not look at the signal.
    if (signal.aborted) progress.failure ??= failureBy(signal);
  }

  /** The post steps, all that fit `status`: one that fails keeps none of the others from running, only the signal does. */
  async runPostSteps(status: JobStatus, signal: AbortSignal): Promise<void> {
    const { progress } = this.#options.record;
    for (const planned of this.#plan) {
      if (!planned.isPost || planned.index < progress.step) continue;
      const runs = !signal.aborted && runsOn(planned.runOn, status);
      if (runs) await this.#run(planned, signal, status);
      else this.#skip(planned);
    }
    if (signal.aborted) progress.failure ??= failureBy(signal);
  }

  /** What the job's steps came to so far. */
  get status(): JobStatus {
    const { failure } = this.#options.record.progress;
    if (failure === undefined) return "success";
    return failure.kind === "CANCELLED" ? "cancelled" : "failure";
  }

  /** Passes over the job's own steps: what they need could not be had. */
  skipSteps(): void {
    for (const planned of this.#plan) {
      if (!planned.isPost && planned.index >= this.#options.record.progress.step) this.#skip(planned);
    }
  }

  async #fetchFiles(signal: AbortSignal): Promise<void> {
    const { files, record, log, clock, detached } = this.#options;
    const { progress } = record;
    if (progress.failure !== undefined || signal.aborted) return;
    try {
      const fetched = await files.fetch(AbortSignal.any([signal, detached]));
      if (fetched) progress.stepStartedAtMs = clock.now();
    } catch (error) {
      if (detached.aborted) throw error;
      const reason: unknown = signal.aborted ? signal.reason : error;
      if (reason instanceof LeaseLost) throw reason;
      const { kind, message, exitCode } = toStepFailure(reason);
      await log.note("inputs", message);
      progress.failure = { kind, message: log.masked(message), exitCode, step: "" };
    }
  }

  #skip({ step, index }: PlannedStep): void {
    const { record, events } = this.#options;
    record.progress.step = index + 1;
    events.post({ case: "step", value: { name: step.name, state: JobState.SKIPPED } });
  }

  /** One step; the task's first starts before anything is written or published. */
  async #run(planned: PlannedStep, signal: AbortSignal, jobStatus?: JobStatus): Promise<void> {
    const { clock, record, events, log } = this.#options;
    const { step, index } = planned;
    const { progress } = record;
    if (progress.phase !== "claiming") {
      if (progress.step !== index) Object.assign(progress, { step: index, stepStartedAtMs: clock.now() });
      record.save();
    }
    const startedAt = timestampFromMs(progress.stepStartedAtMs);
    events.post({ case: "step", value: { name: step.name, state: JobState.RUNNING, startedAt } });
    const failure = await this.#perform(planned, signal, jobStatus);
    log.finish(step.name);
    await log.close();
    log.forget(workloadId(record.ref.taskId, index));
    Object.assign(progress, { phase: "running", step: index + 1, stepStartedAtMs: clock.now() });
    const status = { name: step.name, startedAt, finishedAt: timestampFromMs(clock.now()) };
    if (failure === undefined) {
      events.post({ case: "step", value: { ...status, state: JobState.SUCCEEDED } });
      return;
    }
    const { exitCode, message, kind } = failure;
    const state = kind === "CANCELLED" ? JobState.CANCELLED : JobState.FAILED;
    events.post({ case: "step", value: { ...status, state, exitCode, message } });
    // What ends the whole job is not the step's own failure, and no step can allow it.
    if (step.allowFailure && !signal.aborted) return;
    progress.failure ??= { kind, message, exitCode, step: step.name };
  }

  async #perform(
    { step, index }: PlannedStep,
    signal: AbortSignal,
    jobStatus: JobStatus | undefined,
  ): Promise<StepFailure | undefined> {
    const { record, clock, detached, log, events: _, files: __, ...rest } = this.#options;
    const { ref, offer, workspace, progress } = record;
    const message = `the step took longer than ${step.timeoutSeconds} s`;
    const limit = timeLimit(clock, progress.stepStartedAtMs, step.timeoutSeconds, message);
    const ending = AbortSignal.any([signal, limit.signal]);
    const context = { ...rest, ref, offer, step, index, workspace, clock, log, detached };
    try {
      const { metrics, outputs } = progress;
      const done = await performStep({ ...context, gpus: this.#gpus(), metrics, outputs, jobStatus, signal: ending });
      for (const [name, value] of Object.entries(done.outputs)) progress.outputs[name] = log.masked(value);
      Object.assign(progress.metrics, done.metrics);
      return undefined;
    } catch (error) {
      if (detached.aborted) throw error;
      const reason: unknown = ending.aborted ? ending.reason : error;
      if (reason instanceof LeaseLost) throw reason;
      const failure = toStepFailure(reason);
      await log.note(step.name, `${step.name}: ${failure.message}`);
      const { kind, exitCode } = failure;
      return new StepFailure(kind, log.masked(failure.message), { exitCode, cause: failure });
    } finally {
      limit.cancel();
    }
  }

  /** The devices that the offer names; a task that names others than the node has is ended before its first step. */
  #gpus(): readonly string[] | undefined {
    const { record, runtimes } = this.#options;
    const { offer } = record;
    const request = offer.job?.resources?.gpu;
    const handout = handOutGpus({ devices: runtimes.gpus, request, indices: offer.gpuIndices });
    if ("problem" in handout) throw new StepFailure("INFRASTRUCTURE", handout.problem);
    return handout.gpus;
  }
}

/** The failure of a job that was ended between two steps. */
function failureBy(signal: AbortSignal): {
  kind: StepFailure["kind"];
  message: string;
  exitCode: number;
  step: string;
} {
  const reason: unknown = signal.reason;
  if (reason instanceof LeaseLost) throw reason;
  const { kind, message, exitCode } = toStepFailure(reason);
  return { kind, message, exitCode, step: "" };
}
