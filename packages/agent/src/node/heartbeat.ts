import type { Clock, Logger } from "@kedge/kernel";

const INTERVAL_MS = 2000;
const COALESCE_MS = 20;

/** Sends a heartbeat every 2 s, and within 20 ms of a change; changes that come together share one. */
export class HeartbeatLoop {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #send: () => void;
  #cancel: () => void = () => {};
  #dueSoon = false;
  #stopped = true;

  constructor(options: { clock: Clock; logger: Logger; send: () => void }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#send = options.send;
  }

  start(): void {
    this.#stopped = false;
    this.#beat();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Something that heartbeats tell has changed. Does nothing when stopped. */
  changed(): void {
    if (this.#stopped || this.#dueSoon) return;
    this.#dueSoon = true;
    this.#cancel();
    this.#cancel = this.#clock.after(COALESCE_MS, () => this.#beat());
  }

  #beat(): void {
    this.#dueSoon = false;
    try {
      this.#send();
    } catch (error) {
      this.#logger.warn({ err: error }, "heartbeat not sent");
    }
    this.#cancel = this.#clock.after(INTERVAL_MS, () => this.#beat());
  }
}
