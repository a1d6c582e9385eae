import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { errorMessage, isKedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import {
  type ReplicaAssignment,
  type ReplicaExposure,
  ReplicaFailure,
  ReplicaState,
  type ReplicaStatus,
  ReplicaStatusSchema,
  RuntimeKind,
} from "@kedge/proto";
import type { Exit, Runtime } from "@kedge/runtime";
import type { FlagAccess } from "../flags/flag-access.ts";
import { isHealthy } from "./health-probe.ts";
import { lastLine } from "./last-line.ts";
import type { ModelCache } from "./model-cache.ts";
import { ExposureMeter } from "./replica-exposure.ts";
import {
  healthPath,
  type ReplicaRuntimes,
  replicaWorkload,
  replicaWorkloadId,
  startTimeoutMs,
} from "./replica-spec.ts";
import { RestartBackoff } from "./restart-backoff.ts";

/** What a replica is run with. */
export interface ReplicaOptions {
  readonly nodeId: string;
  readonly assignment: ReplicaAssignment;
  readonly runtimes: ReplicaRuntimes;
  readonly models: ModelCache;
  readonly modelServerEntry: string;
  readonly flags: FlagAccess;
  readonly clock: Clock;
  readonly logger: Logger;
  /** State, restarts or port changed. */
  readonly onChange: () => void;
}

const POLL_MS = 50;
const LIVENESS_MS = 1000;
const LIVENESS_FAILURES = 3;
const QUICK_FAILURES = 3;
const STOP_GRACE_MS = 10_000;

/** Why a run of a replica ended. */
interface Ending {
  readonly failure: ReplicaFailure;
  readonly message: string;
}

/**
 * One replica: fetched, started, watched, and started again when it dies. Failing three times in a row without having
 * been ready for a minute makes it FAILED; it is still tried, ever more rarely.
 */
export class Replica {
  readonly assignment: ReplicaAssignment;
  readonly #options: ReplicaOptions;
  readonly #abort = new AbortController();
  readonly #exposure: ExposureMeter;
  readonly #backoff: RestartBackoff;
  #state = ReplicaState.FETCHING;
  #since: number;
  #message = "";
  #restarts = 0;
  #lastFailure = ReplicaFailure.UNSPECIFIED;
  #memoryKills = 0;
  #retryAtMs: number | undefined;
  #port: number | undefined;
  #runtime: Runtime | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.assignment = options.assignment;
    this.#since = options.clock.now();
    this.#exposure = new ExposureMeter(options.clock);
    this.#backoff = new RestartBackoff(options.clock);
  }

  get status(): ReplicaStatus {
    const { replicaId, deployment, revision } = this.assignment;
    const since = timestampFromMs(this.#since);
    return create(ReplicaStatusSchema, {
      ...{ replicaId, deployment, revision, since },
      state: this.#state,
      restarts: this.#restarts,
      message: this.#message,
      lastFailure: this.#lastFailure,
      memoryKills: this.#memoryKills,
      ...(this.#retryAtMs === undefined ? {} : { retryAt: timestampFromMs(Math.round(this.#retryAtMs)) }),
    });
  }

  /** Port on 127.0.0.1 where requests are answered; undefined unless ready. */
  get readyPort(): number | undefined {
    return this.#state === ReplicaState.READY ? this.#port : undefined;
  }

  /** How often it was started again; counters of its metrics begin anew with each run. */
  get run(): number {
    return this.#restarts;
  }

  /** How long it was ready since the last call, and whether it failed then. */
  takeExposure(): ReplicaExposure {
    return this.#exposure.take();
  }

  /** Whether it became ready or failed since this object was made. */
  get isSettled(): boolean {
    return this.#state === ReplicaState.READY || this.#state === ReplicaState.STOPPING || this.#backoff.failures > 0;
  }

  start(): void {
    this.#loop ??= this.#keepRunning();
  }

  /** Marks the replica as leaving: it is ready no more, but still runs. */
  retire(): void {
    this.#exposure.end();
    this.#enter(ReplicaState.STOPPING);
  }

  /** Stops watching and leaves the workload as it is. */
  async detach(): Promise<void> {
    this.#abort.abort();
    await this.#loop;
  }

  /** Ends the replica and forgets its workload. */
  async remove(): Promise<void> {
    await this.detach();
    const id = replicaWorkloadId(this.assignment.replicaId);
    await this.#runtime?.stop(id, STOP_GRACE_MS);
    await this.#runtime?.remove(id);
  }

  async #keepRunning(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const ending = await this.#runOnce().catch((error: unknown) => this.#failedToRun(error));
      if (signal.aborted) return;
      const delayMs = this.#backoff.failed();
      const { failures } = this.#backoff;
      const { replicaId } = this.assignment;
      logger.warn({ replicaId, ...ending, failures, delayMs }, "replica failed");
      this.#lastFailure = ending.failure;
      if (ending.failure === ReplicaFailure.OUT_OF_MEMORY) this.#memoryKills += 1;
      this.#retryAtMs = clock.now() + delayMs;
      this.#enter(failures >= QUICK_FAILURES ? ReplicaState.FAILED : ReplicaState.STARTING, ending.message);
      await clock.sleep(delayMs, signal).catch(() => {}); // The loop's test sees the abort.
      this.#retryAtMs = undefined;
    }
  }

  /** It never came to run: without a runtime yet, or without its image, there was nothing to start. */
  #failedToRun(error: unknown): Ending {
    const isFetch = this.#runtime === undefined || isKedgeError(error, "IMAGE_UNAVAILABLE");
    return { failure: isFetch ? ReplicaFailure.FETCH : ReplicaFailure.START, message: errorMessage(error) };
  }

  /** Runs the workload until it ends or hangs; resolves with the reason. */
  async #runOnce(): Promise<Ending> {
    const { nodeId, assignment, runtimes, models, modelServerEntry, flags } = this.#options;
    const { signal } = this.#abort;
    const isModel = assignment.template?.source.case === "model";
    const modelDir = isModel ? await models.ensure(assignment.manifestDigest, signal) : undefined;
    const url = isModel ? flags.url : await flags.containerUrl();
    const known = { file: flags.file, url };
    const { runtime, spec } = replicaWorkload({
      nodeId,
      assignment,
      runtimes,
      modelServerEntry,
      modelDir,
      flags: known,
    });
    this.#runtime = runtime;
    if (this.#state === ReplicaState.FETCHING) this.#enter(ReplicaState.STARTING);
    const logins = spec.image === undefined ? {} : { logins: await runtimes.nodeLogins() };
    const port = await this.#launch(runtime, { ...spec, ...logins });
    const watch = new AbortController();
    let outOfMemory = false;
    const ended = runtime.wait(spec.id, AbortSignal.any([signal, watch.signal])).then(async (exit): Promise<Ending> => {
      outOfMemory = ranOutOfMemory(runtime, exit);
      const line = await lastLine(runtime, spec.id);
      return {
        failure: outOfMemory ? ReplicaFailure.OUT_OF_MEMORY : ReplicaFailure.EXITED,
        message: `exited with code ${exit.exitCode}${line === "" ? "" : `: ${line}`}`,
      };
    });
    try {
      return await Promise.race([ended, this.#watchHealth(port, watch.signal)]);
    } finally {
      watch.abort();
      await ended.catch(() => {}); // Already told, or aborted just now.
      this.#port = undefined;
      if (!signal.aborted) {
        this.#exposure.end({ outOfMemory });
        await runtime.remove(spec.id);
        this.#restarts += 1;
      }
    }
  }

  async #launch(runtime: Runtime, spec: Parameters<Runtime["start"]>[0]): Promise<number> {
    let workload = await runtime.start(spec);
    if (workload.state === "exited") {
      await runtime.remove(spec.id);
      workload = await runtime.start(spec);
    }
    if (workload.hostPort === undefined) {
      return Promise.reject(new Error(`replica ended at once: ${await lastLine(runtime, spec.id)}`));
    }
    return workload.hostPort;
  }

  /** Makes the replica ready when it is, and resolves when it is not any more. */
  async #watchHealth(port: number, over: AbortSignal): Promise<Ending> {
    const { clock, assignment } = this.#options;
    const path = healthPath(assignment);
    const signal = AbortSignal.any([this.#abort.signal, over]);
    const deadline = clock.monotonic() + startTimeoutMs(assignment);
    while (!(await isHealthy(port, path))) {
      if (clock.monotonic() > deadline) {
        const message = `not ready within ${startTimeoutMs(assignment) / 1000} s`;
        return { failure: ReplicaFailure.START_TIMEOUT, message };
      }
      await clock.sleep(POLL_MS, signal);
    }
    signal.throwIfAborted();
    this.#port = port;
    this.#backoff.ready();
    this.#exposure.begin();
    this.#enter(ReplicaState.READY);
    for (let failures = 0; failures < LIVENESS_FAILURES; ) {
      await clock.sleep(LIVENESS_MS, signal);
      failures = (await isHealthy(port, path)) ? 0 : failures + 1;
    }
    return { failure: ReplicaFailure.UNHEALTHY, message: `did not answer ${path} ${LIVENESS_FAILURES} times` };
  }

  #enter(state: ReplicaState, message = ""): void {
    // A replica that is leaving never comes back.
    if (this.#state === ReplicaState.STOPPING) return;
    this.#state = state;
    this.#message = message;
    this.#since = this.#options.clock.now();
    this.#options.onChange();
  }
}

/** Nobody tells why a plain process was killed; the kernel does it for memory, and we only after we let go of it. */
function ranOutOfMemory({ kind }: Runtime, { outOfMemory, signal }: Exit): boolean {
  return outOfMemory || (kind === RuntimeKind.PROCESS && signal === "SIGKILL");
}
