import type { Clock, Logger } from "@kedge/kernel";
import type { RegistryLogins } from "@kedge/runtime";
import { pullOf, taskLabels, taskNetwork } from "../steps/run-step.ts";
import type { StepRuntimes } from "../steps/step-context.ts";
import { StepFailure, toStepFailure } from "../steps/step-failure.ts";
import type { LogPublisher } from "../tasks/log-publisher.ts";
import type { RecordedFailure, TaskRecord } from "../tasks/task-record.ts";
import { JobService, type ServiceHost } from "./job-service.ts";

/** What the services of a task are run with. */
export interface ServiceSetOptions {
  readonly record: TaskRecord;
  readonly runtimes: StepRuntimes;
  readonly log: LogPublisher;
  /** For their images. */
  readonly logins: RegistryLogins;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The containers beside one task's steps. They share a network of their own with the steps that run in containers. */
export class ServiceSet {
  readonly #options: ServiceSetOptions;
  readonly #addresses = new Map<string, string>();
  #services: readonly JobService[] = [];

  constructor(options: ServiceSetOptions) {
    this.#options = options;
  }

  /** Whether the job has any. */
  get isEmpty(): boolean {
    return (this.#options.record.offer.job?.services ?? []).length === 0;
  }

  /** IPv4 addresses by name, of those that are ready. */
  get addresses(): ReadonlyMap<string, string> {
    return this.#addresses;
  }

  /**
   * Starts all at once; resolves when all are ready, or with why one is not. Those of an earlier agent process are adopted.
   *
   * @param wereReady they were at some time before.
   * @throws what the signal aborted with.
   */
  async start(wereReady: boolean, signal: AbortSignal): Promise<RecordedFailure | undefined> {
    if (this.isEmpty) return undefined;
    const { record } = this.#options;
    try {
      const host = await this.#host();
      this.#services = (record.offer.job?.services ?? []).map((each, index) => new JobService(host, each, index));
    } catch (error) {
      return this.#failure("services", error, signal);
    }
    // One that fails ends the others' waiting: the job has failed by then.
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const starting = this.#services.map(async (service) => {
      try {
        this.#addresses.set(service.name, await service.start(wereReady, either));
        return undefined;
      } catch (error) {
        if (failed.signal.aborted) return undefined;
        failed.abort();
        return this.#failure(service.step, error, signal);
      }
    });
    // None is left behind half started, however it goes.
    const ends = await Promise.allSettled(starting);
    signal.throwIfAborted();
    const found = ends.map((end) => (end.status === "fulfilled" ? end.value : undefined));
    return found.find((failure) => failure !== undefined);
  }

  /** Ends all; takes a few seconds at most, and never throws. */
  async end(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.end()));
  }

  /** Leaves them as they are, for a later agent to adopt. */
  detach(): void {
    for (const service of this.#services) service.detach();
  }

  async #host(): Promise<ServiceHost> {
    const { record, runtimes, log, logins, clock, logger } = this.#options;
    const { ref, directory } = record;
    const { docker, networks, access } = runtimes;
    if (docker === undefined || networks === undefined || access === undefined) {
      throw new StepFailure("INFRASTRUCTURE", "this node has no Docker Engine");
    }
    await networks.ensure(taskNetwork(ref.taskId), taskLabels(ref, directory));
    const hasGpus = runtimes.gpus.length > 0;
    return {
      ref,
      directory,
      docker,
      networks,
      access,
      hasGpus,
      pull: pullOf(record.offer.job),
      log,
      logins,
      clock,
      logger,
    };
  }

  async #failure(step: string, error: unknown, signal: AbortSignal): Promise<RecordedFailure> {
    signal.throwIfAborted();
    const { kind, message, exitCode } = toStepFailure(error);
    await this.#options.log.note(step, `${step}: ${message}`);
    return { kind, message: `${step}: ${message}`, exitCode, step };
  }
}
