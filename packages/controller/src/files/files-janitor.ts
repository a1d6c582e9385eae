import { type Clock, type Logger, Reconciler } from "@kedge/kernel";
import type { Artifacts } from "./artifacts.ts";
import type { Caches } from "./caches.ts";
import type { ChunkCollector } from "./chunk-collector.ts";

/** What forgets files of jobs. */
export interface FilesJanitorOptions {
  readonly artifacts: Artifacts;
  readonly caches: Caches;
  readonly collector: ChunkCollector;
  readonly clock: Clock;
  readonly logger: Logger;
}

const FORGET = "forget";
const FORGET_MS = 60_000;
const COLLECT = "collect";
const COLLECT_MS = 3_600_000;
/** A leader before this one may have told somebody that a chunk is there; what refers to it is stored by then. */
const FIRST_COLLECTION_MS = 15 * 60_000;

/** Forgets, for one term as the leader, artifacts that expired, caches that nobody uses, and chunks of neither. */
export class FilesJanitor {
  readonly #options: FilesJanitorOptions;
  readonly #loop: Reconciler;
  readonly #abort = new AbortController();
  #cancel = (): void => {};

  constructor(options: FilesJanitorOptions) {
    this.#options = options;
    const { clock, logger } = options;
    const reconcile = (key: string) => (key === FORGET ? this.#forget() : this.#collect());
    this.#loop = new Reconciler({ name: "files", clock, logger, concurrency: 2, reconcile });
  }

  /** Call once. */
  start(): void {
    this.#loop.start();
    this.#loop.add(FORGET);
    this.#cancel = this.#options.clock.after(FIRST_COLLECTION_MS, () => this.#loop.add(COLLECT));
  }

  /** Ends what goes on; the next leader does the rest. May be called twice, also before `start`. */
  async stop(): Promise<void> {
    this.#cancel();
    this.#abort.abort();
    await this.#loop.stop();
  }

  async #forget() {
    await this.#options.artifacts.collectExpired();
    await this.#options.caches.collectUnused();
    return { requeueAfterMs: FORGET_MS };
  }

  async #collect() {
    if (this.#abort.signal.aborted) return undefined;
    await this.#options.collector.collect(this.#abort.signal);
    return { requeueAfterMs: COLLECT_MS };
  }
}
