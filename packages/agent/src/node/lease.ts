import { KedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";

/** How a lease is kept. */
export interface LeaseOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stores one renewal; resolves once it is stored for good. */
  readonly renew: (signal: AbortSignal) => Promise<void>;
  /** Called after a renewal, with the wall time at which it was sent, milliseconds since 1970. */
  readonly onRenewed: (sentAtMs: number) => void;
  /** Called once each time the lease runs out. */
  readonly onExpired: () => void;
  /** Wall time at which an earlier process of this node sent its last renewal. */
  readonly lastRenewedAtMs: number | undefined;
  /** Default 30,000. */
  readonly leaseMs?: number;
  /** Default 10,000. */
  readonly intervalMs?: number;
  /** Pause between failed attempts; default 1000. */
  readonly retryMs?: number;
}

/**
 * The node's right to run tasks. It lasts `leaseMs` from the moment a successful renewal was *sent*, by this machine's
 * monotonic clock, so it ends here before the controller, who counts from the arrival, may give a task to another node.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #leaseMs: number;
  readonly #abort = new AbortController();
  #sentAt: number;
  #expired: boolean;
  #cancelExpiry: () => void = () => {};
  #attempt: Promise<boolean> | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? 30_000;
    const { clock, lastRenewedAtMs } = options;
    const ageMs = lastRenewedAtMs === undefined ? Number.POSITIVE_INFINITY : clock.now() - lastRenewedAtMs;
    // A last renewal in the future means that the wall clock was set back: its age is unknown, so it counts as none.
    this.#sentAt = ageMs >= 0 ? clock.monotonic() - ageMs : Number.NEGATIVE_INFINITY;
    this.#expired = this.ageMs >= this.#leaseMs;
  }

  /** Milliseconds since the last successful renewal was sent; infinite before the first. */
  get ageMs(): number {
    return this.#options.clock.monotonic() - this.#sentAt;
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

  /** Makes sure that the last renewal is at most `maxAgeMs` old; renews when it is not. Tells whether that worked. */
  async ensureFresh(maxAgeMs: number): Promise<boolean> {
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
    const { clock, logger, renew, onRenewed } = this.#options;
    const sentAt = clock.monotonic();
    const sentAtMs = clock.now();
    try {
      await renew(this.#abort.signal);
    } catch (error) {
      if (!this.#abort.signal.aborted) logger.warn({ err: error, leaseAgeMs: this.ageMs }, "lease not renewed");
      return false;
    }
    // An answer that took longer than the lease renews nothing: the controller may have acted meanwhile.
    if (clock.monotonic() - sentAt >= this.#leaseMs) return false;
    this.#sentAt = Math.max(this.#sentAt, sentAt);
    this.#expired = false;
    this.#scheduleExpiry();
    onRenewed(sentAtMs);
    return true;
  }

  #scheduleExpiry(): void {
    this.#cancelExpiry();
    if (this.#abort.signal.aborted) return;
    this.#cancelExpiry = this.#options.clock.after(Math.max(0, this.#leaseMs - this.ageMs), () => this.#checkExpiry());
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
