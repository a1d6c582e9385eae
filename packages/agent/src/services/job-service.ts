import type { Clock, Logger } from "@kedge/kernel";
import type { Service, TaskRefFull } from "@kedge/proto";
import type { ContainerAccess, Exit, Networks, RegistryLogins, Runtime, WorkloadSpec } from "@kedge/runtime";
import { noteContainer } from "../steps/container-note.ts";
import { limitsOf, taskLabels, taskNetwork } from "../steps/run-step.ts";
import { StepFailure } from "../steps/step-failure.ts";
import { copyWorkloadLog } from "../steps/workload-log.ts";
import type { LogPublisher } from "../tasks/log-publisher.ts";
import { timeLimit } from "../tasks/time-limit.ts";
import { whatIsMissing } from "./readiness.ts";

/** What a job's services are run with. */
export interface ServiceHost {
  readonly ref: TaskRefFull;
  /** The task's own folder. */
  readonly directory: string;
  readonly docker: Runtime;
  readonly networks: Networks;
  readonly access: ContainerAccess;
  /** The node has GPUs, which services do not get. */
  readonly hasGpus: boolean;
  readonly log: LogPublisher;
  readonly logins: RegistryLogins;
  readonly pull: Pick<WorkloadSpec, "pull">;
  readonly clock: Clock;
  readonly logger: Logger;
}

const DEFAULT_READY_S = 60;
const ASK_AGAIN_MS = 200;
const STOP_GRACE_MS = 2_000;
const LAST_LOG_MS = 3_000;

/** Name of a service's workload; the same for ever, so that starting it again adopts it. */
export function serviceWorkloadId(taskId: string, index: number): string {
  return `${taskId}.service-${index}`;
}

/** One container beside a job's steps, from its start to its end. */
export class JobService {
  readonly #host: ServiceHost;
  readonly #service: Service;
  readonly #id: string;
  /** Ends what goes on beside the job: watching and copying the log. */
  readonly #leave = new AbortController();
  #ending = false;
  #started = false;
  #copied: Promise<void> = Promise.resolve();

  constructor(host: ServiceHost, service: Service, index: number) {
    this.#host = host;
    this.#service = service;
    this.#id = serviceWorkloadId(host.ref.taskId, index);
  }

  /** Host name in the job's network. */
  get name(): string {
    return this.#service.name;
  }

  /** What stands in the job's log in place of a step. */
  get step(): string {
    return `service ${this.#service.name}`;
  }

  /**
   * Starts it, or adopts it; resolves with its IPv4 address when it is ready.
   *
   * @param wasReady it was at some time before: what it does now is its own affair.
   * @throws StepFailure when it ends or does not become ready in time; what the signal aborted with.
   */
  async start(wasReady: boolean, signal: AbortSignal): Promise<string> {
    const { docker, log, clock, logger, directory, ref } = this.#host;
    await docker.start(this.#spec(), signal);
    this.#started = true;
    const own = { runtime: docker, id: this.#id };
    void noteContainer({ ...own, taskId: ref.taskId, directory, name: this.#id, clock, logger });
    this.#copied = copyWorkloadLog({ ...own, step: this.step, log, signal: this.#leave.signal });
    this.#copied.catch((error: unknown) => {
      if (!this.#leave.signal.aborted) logger.warn({ err: error, workload: this.#id }, "a service's log broke off");
    });
    const address = wasReady ? await this.#currentAddress() : await this.#ready(signal);
    void this.#watch();
    return address ?? "";
  }

  /** Ends it, and the log with what it says last. Takes a few seconds at most; never throws. */
  async end(): Promise<void> {
    const { docker, clock, logger } = this.#host;
    this.#ending = true;
    if (!this.#started) return;
    const done = docker.stop(this.#id, STOP_GRACE_MS).then(() => this.#copied);
    const limit = new AbortController();
    const late = clock.sleep(STOP_GRACE_MS + LAST_LOG_MS, limit.signal).catch(() => {}); // Done in time.
    await Promise.race([done, late]).catch((error: unknown) => {
      logger.debug({ err: error, workload: this.#id }, "a service did not end well");
    });
    limit.abort();
    this.detach();
  }

  /** Leaves it as it is, for a later agent to adopt. */
  detach(): void {
    this.#ending = true;
    this.#leave.abort();
  }

  #spec(): WorkloadSpec {
    const { ref, directory, hasGpus, logins, pull } = this.#host;
    const { name, image, command, env, resources } = this.#service;
    return {
      id: this.#id,
      labels: { ...taskLabels(ref, directory), "kedge.service": name },
      ...{ image, ...pull, logins, command, env },
      network: taskNetwork(ref.taskId),
      aliases: [name],
      limits: limitsOf(resources),
      ...(hasGpus ? { gpus: [] } : {}),
    };
  }

  async #ready(signal: AbortSignal): Promise<string | undefined> {
    const { clock } = this.#host;
    const seconds = this.#service.readyTimeoutSeconds || DEFAULT_READY_S;
    let missing: string | undefined;
    const limit = timeLimit(clock, clock.now(), seconds, "");
    try {
      const both = AbortSignal.any([signal, limit.signal]);
      for (;;) {
        const address = await this.#address();
        missing = address === undefined ? "it has no address" : await this.#missing(address, both);
        if (missing === undefined) return address;
        await clock.sleep(ASK_AGAIN_MS, both);
      }
    } catch (error) {
      if (signal.aborted || !limit.signal.aborted) throw error;
      throw new StepFailure("TIMEOUT", `not ready within ${seconds} s: ${missing ?? "it does not answer"}`);
    } finally {
      limit.cancel();
    }
  }

  /** One look at it: an end is the end of waiting, whatever its port says. */
  async #missing(address: string, signal: AbortSignal): Promise<string | undefined> {
    const place = { id: this.#id, address, access: this.#host.access };
    const missing = await whatIsMissing(this.#service, place, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      return error instanceof Error ? error.message : String(error);
    });
    await this.#assertRunning();
    return missing;
  }

  async #address(): Promise<string | undefined> {
    const address = await this.#currentAddress();
    if (address === undefined) await this.#assertRunning();
    return address;
  }

  #currentAddress(): Promise<string | undefined> {
    const { access, ref } = this.#host;
    return access.address(this.#id, taskNetwork(ref.taskId));
  }

  async #assertRunning(): Promise<void> {
    const { docker, ref } = this.#host;
    const found = await docker.list({ "kedge.task": ref.taskId, "kedge.service": this.name });
    const exit = found.find(({ id }) => id === this.#id)?.exit;
    if (exit === undefined) return;
    throw new StepFailure(exit.outOfMemory ? "OUT_OF_MEMORY" : "EXIT_CODE", endOf(exit), { exitCode: exit.exitCode });
  }

  /** Says so when it ends while the job goes on; what that means shows in the steps. */
  async #watch(): Promise<void> {
    const { docker, log, logger } = this.#host;
    try {
      const exit = await docker.wait(this.#id, this.#leave.signal);
      if (!this.#ending) await log.note(this.step, `${this.step}: ${endOf(exit)} while the job goes on`);
    } catch (error) {
      if (!this.#leave.signal.aborted) logger.debug({ err: error, workload: this.#id }, "a service is not watched");
    }
  }
}

function endOf(exit: Exit): string {
  return exit.outOfMemory ? "used more memory than its limit" : `ended with code ${exit.exitCode}`;
}
