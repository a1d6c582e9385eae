import { KedgeError } from "@kedge/domain";
import { aborted, type Clock, type Logger } from "@kedge/kernel";

/** How a lease is kept. */
export interface LeaseOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stores one renewal; resolves once it is stored for good. */
  readonly renew: (signal: AbortSignal) => Promise<void>;
  /**
   * Called after a renewal, with the time at which it was sent. A lease that was not held begins when this resolves: no task
   * is begun on one that a later process of this node would not know of. It must not reject.
   */
  readonly onRenewed: (sentAtMs: number) => Promise<void>;
  /** Called once each time the lease runs out. */
  readonly onExpired: () => void;
  /** When an earlier process of this node sent its last renewal. */
  readonly lastRenewedAtMs: number | undefined;
  /** The time all this is counted in; default: the clock's monotonic time, which stands still in a suspended machine. */
  readonly elapsedMs?: () => number;
  /** Default 30,000. */
  readonly leaseMs?: number;
  /** Default 10,000. */
  readonly intervalMs?: number;
  /** Pause between failed attempts; default 1000. */
  readonly retryMs?: number;
}

const MAX_CHECK_MS = 2000;

/**
 * The node's right to run tasks. It lasts `leaseMs` from the moment a successful renewal was *sent*, by a clock
 * that is never set, so it ends here before the controller, who counts from the arrival, may give a task to another node.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #leaseMs: number;
  readonly #elapsedMs: () => number;
  readonly #abort = new AbortController();
  #sentAt: number;
  #expired: boolean;
  #cancelExpiry: () => void = () => {};
  #attempt: Promise<boolean> | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? 30_000;
    const { clock, lastRenewedAtMs = Number.NEGATIVE_INFINITY } = options;
    this.#elapsedMs = options.elapsedMs ?? (() => clock.monotonic());
    // One in the future was written by nobody that can be trusted: it counts as none.
    this.#sentAt = lastRenewedAtMs <= this.#elapsedMs() ? lastRenewedAtMs : Number.NEGATIVE_INFINITY;
    this.#expired = this.ageMs >= this.#leaseMs;
  }

  /** Milliseconds since the last successful renewal was sent; infinite before the first. */
  get ageMs(): number {
    return this.#elapsedMs() - this.#sentAt;
  }

  /** Whether tasks may run now. */
  get held(): boolean {
    return this.ageMs < this.#leaseMs;
  }

  start(): void {
    if (!this.#expired) this.#scheduleExpiry();
    this.#loop ??= this.#keep();
  }

  /** May be called twice. The lease then runs out by itself. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#cancelExpiry();
    await this.#loop;
  }

  /**
   * Makes sure that the last renewal is at most `maxAgeMs` old, by default two thirds of the lease; renews when it is
   * not. Tells whether that worked.
   */
  async ensureFresh(maxAgeMs = (this.#leaseMs * 2) / 3): Promise<boolean> {
    if (this.ageMs <= maxAgeMs) return true;
    return this.#renewOnce();
  }

  async #keep(): Promise<void> {
    const { clock, intervalMs = 10_000, retryMs = 1000 } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const renewed = await this.#renewOnce();
      await clock.sleep(renewed ? intervalMs : retryMs, signal).catch(() => {}); // Ends with the loop's own test.
    }
  }

  #renewOnce(): Promise<boolean> {
    this.#attempt ??= this.#tryRenew().finally(() => {
      this.#attempt = undefined;
    });
    return this.#attempt;
  }

  async #tryRenew(): Promise<boolean> {
    const { logger, renew, onRenewed } = this.#options;
    // After a suspension this may be reached before the timer: what has run out is not revived.
    if (!this.#expired) this.#checkExpiry();
    const sentAt = this.#elapsedMs();
    try {
      await renew(this.#abort.signal);
    } catch (error) {
      if (!this.#abort.signal.aborted) logger.warn({ err: error, leaseAgeMs: this.ageMs }, "lease not renewed");
      return false;
    }
    // An answer that took longer than the lease renews nothing: the controller may have acted meanwhile.
    if (this.#elapsedMs() - sentAt >= this.#leaseMs) return false;
    if (!this.#expired) this.#checkExpiry();
    const noted = onRenewed(sentAt);
    // A disk that hangs must not keep the agent from ending.
    if (!this.held) await Promise.race([noted, aborted(this.#abort.signal)]);
    if (this.#abort.signal.aborted) return false;
    this.#sentAt = Math.max(this.#sentAt, sentAt);
    this.#expired = !this.held;
    if (this.#expired) return false;
    this.#scheduleExpiry();
    return true;
  }

  #scheduleExpiry(): void {
    this.#cancelExpiry();
    if (this.#abort.signal.aborted) return;
    // Timers stand still with the machine, so the age is looked at now and then.
    const waitMs = Math.min(MAX_CHECK_MS, Math.max(0, this.#leaseMs - this.ageMs));
    this.#cancelExpiry = this.#options.clock.after(waitMs, () => this.#checkExpiry());
  }

  #checkExpiry(): void {
    if (this.held) {
      this.#scheduleExpiry();
      return;
    }
    if (this.#expired) return;
    this.#expired = true;
    const error = new KedgeError("TIMEOUT", `no lease renewal for ${this.#leaseMs} ms`);
    this.#options.logger.error({ err: error }, "lease ran out");
    this.#options.onExpired();
  }
}
