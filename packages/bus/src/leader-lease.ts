import { errorMessage } from "@kedge/domain";
import type { Clock, Component, Logger } from "@kedge/kernel";
import type { Bus } from "./bus.ts";
import { directGet } from "./direct-get.ts";
import { isLostRace } from "./nats-error.ts";
import { bucketStream, subjects } from "./subjects.ts";
import { whileConnected } from "./while-connected.ts";

/** How a controller stands for election. */
export interface LeaderLeaseOptions {
  readonly bus: Bus;
  /** Name of the lease, e.g. "controller". */
  readonly key: string;
  /** Who we are. A process that starts again under the same id takes its lease back at once. */
  readonly holder: string;
  /** Time after which others may take a lease that was not renewed; default 15 s. Renewed every third of it. */
  readonly ttlMs?: number;
  readonly onElected: () => void;
  /** Called before others can be elected, also when the store cannot be reached. */
  readonly onLost: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface LeaseRecord {
  readonly holder: string;
  /** Grows with every renewal, so that a watcher sees it move without comparing clocks. */
  readonly renewals: number;
  readonly ttlMs: number;
}

const DEFAULT_TTL_MS = 15_000;

/**
 * One leader among controllers, by compare-and-set on a key. Clocks of machines are never compared: a candidate takes
 * the lease over after it has seen it unchanged for the whole term on its own monotonic clock; the leader counts its
 * term from before each renewal it sent, and steps down when that runs out.
 */
export class LeaderLease implements Component {
  readonly name = "leader-lease";
  readonly #options: LeaderLeaseOptions;
  readonly #ttlMs: number;
  #abort = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #leaderUntil = Number.NEGATIVE_INFINITY;
  #isLeader = false;
  #seen = { revision: -1, at: 0 };
  #cancelDeadline = (): void => {};

  constructor(options: LeaderLeaseOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? DEFAULT_TTL_MS;
  }

  /** True while the lease is ours beyond doubt. */
  get isLeader(): boolean {
    return this.#isLeader && this.#options.clock.monotonic() < this.#leaderUntil;
  }

  /** Begins to stand for election; does not wait for the outcome. */
  async start(): Promise<void> {
    this.#abort = new AbortController();
    this.#loop = this.#run(this.#abort.signal);
  }

  /** Steps down and gives the lease up, so that another may take it at once. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#loop;
    const wasLeader = this.#isLeader;
    this.#stepDown();
    if (wasLeader)
      await this.#write({ holder: "", renewals: 0, ttlMs: 0 }, this.#seen.revision).catch(() => {
        // Not given up in so many words: it runs out by itself.
      });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#turn();
      } catch (error) {
        logger.debug({ reason: errorMessage(error) }, "the leader lease could not be renewed");
      }
      await clock.sleep(this.#ttlMs / 3, signal).catch(() => {});
    }
  }

  /** Renews our lease, takes a free one, or watches somebody else's. */
  async #turn(): Promise<void> {
    const { bus, clock, holder, key } = this.#options;
    const sentAt = clock.monotonic();
    const stored = await directGet(bus, bucketStream("leases"), subjects.kv("leases", key));
    const record = stored === undefined || stored.deleted ? undefined : parseLease(stored.data);
    const revision = stored?.revision ?? 0;
    if (revision !== this.#seen.revision) this.#seen = { revision, at: clock.monotonic() };
    const isOurs = record?.holder === holder;
    const isFree = record === undefined || record.holder === "" || clock.monotonic() - this.#seen.at >= record.ttlMs;
    if (!isOurs && !isFree) return this.#stepDown();
    const next = { holder, renewals: (record?.renewals ?? 0) + 1, ttlMs: this.#ttlMs };
    try {
      this.#seen = { revision: await this.#write(next, revision), at: clock.monotonic() };
    } catch (error) {
      if (isLostRace(error)) return;
      throw error;
    }
    this.#renewed(sentAt + this.#ttlMs);
  }

  async #write(record: LeaseRecord, revision: number): Promise<number> {
    const { bus, key } = this.#options;
    const options = { expect: { lastSubjectSequence: revision }, timeout: this.#ttlMs / 3 };
    const publish = () => bus.jetstream.publish(subjects.kv("leases", key), JSON.stringify(record), options);
    const ack = await whileConnected(bus, publish);
    return ack.seq;
  }

  #renewed(until: number): void {
    const { clock } = this.#options;
    this.#leaderUntil = until;
    this.#cancelDeadline();
    this.#cancelDeadline = clock.after(Math.max(0, until - clock.monotonic()), () => this.#stepDown());
    if (this.#isLeader) return;
    this.#isLeader = true;
    this.#options.logger.info({ holder: this.#options.holder }, "elected leader");
    this.#options.onElected();
  }

  #stepDown(): void {
    this.#cancelDeadline();
    if (!this.#isLeader) return;
    this.#isLeader = false;
    this.#options.logger.warn({ holder: this.#options.holder }, "no longer the leader");
    this.#options.onLost();
  }
}

function parseLease(bytes: Uint8Array): LeaseRecord | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value !== "object" || value === null) return undefined;
    const { holder, renewals, ttlMs } = value as Partial<Record<keyof LeaseRecord, unknown>>;
    if (typeof holder !== "string" || typeof renewals !== "number" || typeof ttlMs !== "number") return undefined;
    return { holder, renewals, ttlMs };
  } catch {
    // Not a lease: free to take.
    return undefined;
  }
}
