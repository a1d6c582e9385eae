import { isKedgeError, KedgeError } from "@kedge/domain";
import { Admission } from "./admission.ts";
import type { ServerConfig } from "./config.ts";
import { withDeadline } from "./deadline.ts";
import { HandlerMetrics } from "./handler-metrics.ts";
import type { InferRequest } from "./infer-request.ts";
import { type FailureReason, ModelMetrics } from "./metrics.ts";
import { Model, type ModelOptions, type ModelResult } from "./model.ts";

/** loading → ready → draining; a host never goes back. */
export type HostState = "loading" | "ready" | "draining";

/** What a host is made of. */
export type HostOptions = Omit<ModelOptions, keyof ServerConfig | "metrics" | "attributes"> & {
  readonly config: ServerConfig;
};

/** Holds the process's one model, its state, its queue and its figures. */
export class ModelHost {
  readonly config: ServerConfig;
  readonly admission: Admission;
  readonly metrics: ModelMetrics;
  /** Wall time of the last success, milliseconds; 0 before. */
  lastInferenceAt = 0;
  readonly #options: HostOptions;
  #state: HostState = "loading";
  #model: Model | undefined;

  constructor(options: HostOptions) {
    const { config } = options;
    this.#options = options;
    this.config = config;
    this.admission = new Admission({ concurrency: config.maxConcurrency, queueLimit: config.maxQueue });
    this.metrics = new ModelMetrics(
      {
        model: config.name,
        version: config.version,
        ...(config.node === undefined ? {} : { node: config.node }),
        ...(config.revision === undefined ? {} : { revision: config.revision }),
      },
      () => this.admission.inside,
    );
  }

  get state(): HostState {
    return this.#state;
  }

  /** Largest request body: the smaller of the process's limit and the model's. */
  get maxRequestBytes(): number {
    return Math.min(this.config.maxRequestBytes, this.#model?.settings.maxRequestBytes ?? this.config.maxRequestBytes);
  }

  /** Loads and warms up; ready afterwards. Throws KedgeError INVALID_MODEL or TIMEOUT. */
  async load(signal: AbortSignal): Promise<void> {
    const { config, clock, logger, flags } = this.#options;
    const start = clock.monotonic();
    const metrics = new HandlerMetrics(this.metrics.registry, logger);
    const { name: deployment, version, revision, node } = config;
    const attributes = { deployment, version, revision, node };
    const model = await Model.load({ ...config, clock, logger, metrics, flags, attributes });
    const loadMs = Math.round(clock.monotonic() - start);
    await withDeadline({ clock, limitMs: config.requestTimeoutMs, signal }, (limit) => model.warmUp(limit));
    this.#model = model;
    if (this.#state === "loading") this.#state = "ready";
    const warmUpMs = Math.round(clock.monotonic() - start) - loadMs;
    logger.info({ loadMs, warmUpMs, signature: model.signature }, "model is ready");
  }

  /** Not ready from now on; requests are still answered until the server is closed. */
  drain(): void {
    this.#state = "draining";
  }

  /** The model. Throws KedgeError MODEL_NOT_READY until it is loaded. */
  get model(): Model {
    if (this.#model === undefined) throw new KedgeError("MODEL_NOT_READY", `model '${this.config.name}' is loading`);
    return this.#model;
  }

  /** Waits its turn, runs the model within the time limit and counts the outcome. */
  async infer(request: InferRequest, arrivedMs: number, signal: AbortSignal): Promise<ModelResult> {
    const { clock, config } = this.#options;
    const model = this.model;
    return await withDeadline({ clock, limitMs: config.requestTimeoutMs, signal }, async (limit) => {
      const queued = clock.monotonic();
      const leave = await this.admission.turn(limit);
      // A handler that never ends must not keep its turn: the next requests would all wait for it.
      limit.addEventListener("abort", leave, { once: true });
      try {
        const queueMs = clock.monotonic() - queued;
        const outputNames = request.outputs?.map((output) => output.name);
        const result = await model.infer({ ...request, outputNames }, limit);
        this.lastInferenceAt = clock.now();
        if (!limit.aborted) this.metrics.succeeded({ ...result, queueMs, totalMs: clock.monotonic() - arrivedMs });
        return result;
      } finally {
        leave();
      }
    });
  }

  /** Counts a request that failed. */
  failed(error: unknown, arrivedMs: number): void {
    this.metrics.failed(failureReason(error), this.#options.clock.monotonic() - arrivedMs);
  }

  /** Monotonic now, milliseconds. */
  now(): number {
    return this.#options.clock.monotonic();
  }

  /** Frees the model. Call once, when nothing runs any more. */
  async release(): Promise<void> {
    await this.#model?.release();
  }
}

function failureReason(error: unknown): FailureReason {
  if (!isKedgeError(error)) return "OTHER";
  if (error.reason === "QUEUE_FULL" || error.reason === "MODEL_NOT_READY") return "REJECTED";
  if (error.reason === "CANCELLED" || error.reason === "TIMEOUT") return "CANCELED";
  return error.reason === "PROCESS_FAILED" || error.reason === "HANDLER_FAILED" ? "BACKEND" : "OTHER";
}
