import { isKedgeError } from "@kedge/domain";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import { jitter } from "./random.ts";
import { WorkQueue } from "./work-queue.ts";

/** What a reconciliation asks for next. */
export interface ReconcileResult {
  /** Look at the key again after this time even if nothing changes. */
  readonly requeueAfterMs?: number;
}

/** How a reconciler works. */
export interface ReconcilerOptions {
  /** For logs, e.g. "runs". */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes the world match the key's desired state. Running it twice changes nothing. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult | undefined>;
  /** Different keys at once; default 1. */
  readonly concurrency?: number;
}

const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 15_000;

/**
 * A level-triggered loop over keys: events only add keys, `reconcile` reads the world. One key never runs twice at
 * once; failures are retried with exponential backoff and jitter, lost races at once.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #queue = new WorkQueue();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, () => void>();
  readonly #abort = new AbortController();
  #workers: Promise<void>[] = [];

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Queues a key. May be called before start. */
  add(key: string): void {
    this.#queue.add(key);
  }

  /** Keys waiting, for metrics. */
  get depth(): number {
    return this.#queue.size;
  }

  /** Starts the workers. Call once. */
  start(): void {
    for (let i = 0; i < (this.#options.concurrency ?? 1); i++) this.#workers.push(this.#work());
  }

  /** Ends the loop after the reconciliations under way. May be called twice. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#queue.close();
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    await Promise.all(this.#workers);
    this.#workers = [];
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.#queue.take();
      if (key === undefined) return;
      await this.#one(key);
      this.#queue.done(key);
    }
  }

  async #one(key: string): Promise<void> {
    this.#timers.get(key)?.();
    this.#timers.delete(key);
    try {
      const result = await this.#options.reconcile(key, this.#abort.signal);
      this.#failures.delete(key);
      if (result?.requeueAfterMs !== undefined) this.#later(key, result.requeueAfterMs);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      if (isKedgeError(error, "CONFLICT")) return this.#queue.add(key);
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (failures - 1)) * (0.5 + jitter() / 2);
      this.#options.logger.warn(
        { err: error, reconciler: this.#options.name, key, failures, delayMs },
        "reconcile failed",
      );
      this.#later(key, delayMs);
    }
  }

  #later(key: string, delayMs: number): void {
    // A run that ends after stop() must not leave a timer behind.
    if (this.#abort.signal.aborted) return;
    this.#timers.get(key)?.();
    this.#timers.set(
      key,
      this.#options.clock.after(delayMs, () => {
        this.#timers.delete(key);
        this.#queue.add(key);
      }),
    );
  }
}
