import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock, Logger } from "@kedge/kernel";
import {
  JobState,
  type LogChunk,
  type Step,
  type TaskEvent,
  type TaskFinished,
  TaskFinishedSchema,
  type TaskRef,
  TaskState,
} from "@kedge/proto";
import type { FlagAccess } from "../flags/flag-access.ts";
import { handOutGpus } from "../node/gpu-handout.ts";
import { performStep } from "../steps/perform-step.ts";
import type { StepRuntimes } from "../steps/step-context.ts";
import { StepFailure, toStepFailure } from "../steps/step-failure.ts";
import { cleanUpTask } from "./clean-up.ts";
import { EventOutbox } from "./event-outbox.ts";
import { type LogPosition, LogPublisher } from "./log-publisher.ts";
import type { TaskRecord } from "./task-record.ts";
import { timeLimit } from "./time-limit.ts";

/** What a task is run with. */
export interface TaskRunnerOptions {
  readonly record: TaskRecord;
  readonly runtimes: StepRuntimes;
  readonly flags: FlagAccess;
  readonly caPem: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publishEvent: (event: TaskEvent) => Promise<void>;
  readonly publishLog: (chunk: LogChunk) => Promise<void>;
  /** Leave the workspace on the disk. */
  readonly keepWorkspaces: boolean;
  /** An earlier agent process, or an earlier try, may have begun the task. */
  readonly adopted: boolean;
}

/** Thrown through a step when the node may no longer run its task. */
class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** How a task left this node; `detached`: it did not, a later agent goes on with it. */
export type TaskOutcome = "succeeded" | "failed" | "cancelled" | "lost" | "detached";

const DEFAULT_TIMEOUT_S = 3600;
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
  /** Ends the work. */
  readonly #end = new AbortController();
  /** Leaves the work as it is. */
  readonly #detach = new AbortController();
  /** Ends publishing. */
  readonly #mute = new AbortController();
  #logPosition: LogPosition = { sequence: 0n, cursor: "", workload: "" };

  constructor(options: TaskRunnerOptions) {
    const { record, clock, publishEvent, publishLog } = options;
    this.#options = options;
    this.#record = record;
    const logger = options.logger.child({ taskId: record.ref.taskId });
    const common = { ref: record.ref, clock, logger, signal: this.#mute.signal };
    this.#events = new EventOutbox({ ...common, publish: publishEvent });
    this.#log = new LogPublisher({ ...common, publish: publishLog, journal: record.logJournal });
  }

  /** The task, as heartbeats and leases name it. */
  get ref(): Pick<TaskRef, "taskId" | "fence"> {
    return this.#record.ref;
  }

  /** Ends the task with the state CANCELLED. May be called twice. */
  cancel(): void {
    this.#end.abort(new StepFailure("CANCELLED", "cancelled"));
  }

  /** Ends the task at once and without a report: it may run elsewhere by now. */
  lose(): void {
    this.#mute.abort();
    this.#end.abort(new LeaseLost("the node's lease ran out"));
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
      if (this.#options.adopted) this.#logPosition = await this.#log.resume();
      const finished = progress.finished ?? (await this.#work());
      if (finished === undefined) return "detached";
      return await this.#report(finished);
    } catch (error) {
      if (this.#detach.signal.aborted) return "detached";
      throw error;
    }
  }

  async #work(): Promise<TaskFinished | undefined> {
    const { clock } = this.#options;
    const { offer, progress } = this.#record;
    const seconds = offer.job?.timeoutSeconds || DEFAULT_TIMEOUT_S;
    const limit = timeLimit(clock, progress.startedAtMs, seconds, `the job took longer than ${seconds} s`);
    const signal = AbortSignal.any([this.#end.signal, limit.signal]);
    try {
      return await this.#steps(signal);
    } finally {
      limit.cancel();
    }
  }

  async #steps(signal: AbortSignal): Promise<TaskFinished | undefined> {
    const { offer, progress } = this.#record;
    const work = offer.job?.work;
    const steps = work?.case === "steps" ? work.value.steps : [];
    // Told again by an agent that took the task up: its predecessor may have died before it did.
    this.#events.post({ case: "started", value: {} });
    for (const [index, step] of steps.entries()) {
      if (index < progress.step) continue;
      const failure = await this.#step(step, index, signal);
      if (this.#detach.signal.aborted) return undefined;
      if (failure !== undefined) return this.#failed(failure, step);
    }
    return create(TaskFinishedSchema, {
      state: TaskState.SUCCEEDED,
      outputs: progress.outputs,
      metrics: progress.metrics,
    });
  }

  /** One step; the first starts before anything is written or published. */
  async #step(step: Step, index: number, signal: AbortSignal): Promise<StepFailure | LeaseLost | undefined> {
    const { clock } = this.#options;
    const { progress } = this.#record;
    if (progress.phase !== "claiming") {
      if (progress.step !== index) Object.assign(progress, { step: index, stepStartedAtMs: clock.now() });
      this.#record.save();
    }
    const startedAt = timestampFromMs(progress.stepStartedAtMs);
    this.#events.post({ case: "step", value: { name: step.name, state: JobState.RUNNING, startedAt } });
    const failure = await this.#perform(step, index, signal);
    if (this.#detach.signal.aborted) return undefined;
    await this.#log.close();
    const status = { name: step.name, startedAt, finishedAt: timestampFromMs(clock.now()) };
    if (failure === undefined) {
      Object.assign(progress, { phase: "running", step: index + 1, stepStartedAtMs: clock.now() });
      this.#events.post({ case: "step", value: { ...status, state: JobState.SUCCEEDED } });
    } else if (failure instanceof StepFailure) {
      const { exitCode, message, kind } = failure;
      const state = kind === "CANCELLED" ? JobState.CANCELLED : JobState.FAILED;
      this.#events.post({ case: "step", value: { ...status, state, exitCode, message } });
    }
    return failure;
  }

  async #perform(step: Step, index: number, signal: AbortSignal): Promise<StepFailure | LeaseLost | undefined> {
    const { runtimes, flags, caPem, clock, logger } = this.#options;
    const { ref, offer, workspace, progress } = this.#record;
    const message = `the step took longer than ${step.timeoutSeconds} s`;
    const limit = timeLimit(clock, progress.stepStartedAtMs, step.timeoutSeconds, message);
    const ending = AbortSignal.any([signal, limit.signal]);
    const context = {
      ...{ ref, offer, step, index, workspace, runtimes, flags, caPem, clock, logger },
      log: this.#log,
      logPosition: this.#logPosition,
      metrics: progress.metrics,
      signal: ending,
      detached: this.#detach.signal,
    };
    try {
      const { outputs, metrics } = await performStep({ ...context, gpus: this.#gpus() });
      Object.assign(progress.outputs, outputs);
      Object.assign(progress.metrics, metrics);
      return undefined;
    } catch (error) {
      if (this.#detach.signal.aborted) return undefined;
      const reason: unknown = ending.aborted ? ending.reason : error;
      if (reason instanceof LeaseLost) return reason;
      const failure = toStepFailure(reason);
      await this.#log.note(step.name, `${step.name}: ${failure.message}`);
      return failure;
    } finally {
      limit.cancel();
    }
  }

  /** The devices that the offer names; a task that names others than the node has is ended before its first step. */
  #gpus(): readonly string[] | undefined {
    const { offer } = this.#record;
    const request = offer.job?.resources?.gpu;
    const handout = handOutGpus({ devices: this.#options.runtimes.gpus, request, indices: offer.gpuIndices });
    if ("problem" in handout) throw new StepFailure("INFRASTRUCTURE", handout.problem);
    return handout.gpus;
  }

  #failed(failure: StepFailure | LeaseLost, step: Step): TaskFinished {
    if (failure instanceof LeaseLost) return create(TaskFinishedSchema, { state: TaskState.LOST });
    const { progress } = this.#record;
    return create(TaskFinishedSchema, {
      state: failure.kind === "CANCELLED" ? TaskState.CANCELLED : TaskState.FAILED,
      failure: {
        class: failure.failureClass,
        message: failure.message.slice(0, 2000),
        exitCode: failure.exitCode,
        step: step.name,
      },
      outputs: progress.outputs,
      metrics: progress.metrics,
    });
  }

  /** Stores the end, tells it, and only then forgets the task. */
  async #report(finished: TaskFinished): Promise<TaskOutcome> {
    const { keepWorkspaces, runtimes, logger } = this.#options;
    const { progress } = this.#record;
    if (finished.state !== TaskState.LOST) {
      // An end that an earlier agent process stored has its steps already.
      if (progress.finished === undefined) finished.steps = this.#events.takeSteps();
      Object.assign(progress, { phase: "finished", finished });
      this.#record.save();
      await this.#events.finish(finished);
    }
    if (this.#detach.signal.aborted) return "detached";
    await cleanUpTask({ record: this.#record, runtimes, keepWorkspaces, logger });
    return this.#mute.signal.aborted ? "lost" : (OUTCOMES[finished.state] ?? "failed");
  }
}
