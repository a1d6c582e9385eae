import { type Clock, jitter, type Logger } from "@kedge/kernel";
import type { SpooledChunk } from "./log-spool.ts";

/** What a LogSender works with. */
export interface LogSenderOptions {
  /** Stores one chunk; storing it twice must have no effect. */
  readonly publish: (chunk: SpooledChunk) => Promise<void>;
  /** A chunk and all before it are stored. */
  readonly onStored: (sequence: number) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends the sending. */
  readonly signal: AbortSignal;
}

/** Most bytes on their way. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;
const MIN_REST_MS = 50;
const MAX_REST_MS = 2000;

interface Sent {
  readonly chunk: SpooledChunk;
  isStored: boolean;
}

/**
 * Sends chunks in order, many at once, and for as long as it takes. After a failure it waits for the answers that are
 * still to come, rests, and sends everything again from the first chunk that was not stored ("go back N"): in what is
 * stored every chunk comes, at the latest the last time, right behind the one before it.
 */
export class LogSender {
  readonly #options: LogSenderOptions;
  readonly #waiting: Sent[] = [];
  #next = 0;
  #inFlight = 0;
  #bytes = 0;
  #restMs = MIN_REST_MS;
  #isResting = false;
  /** The first chunk goes alone: whoever reads from the beginning gets it first. */
  #isProven = false;
  #listeners: (() => void)[] = [];

  constructor(options: LogSenderOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#tell(), { once: true });
  }

  /** Chunks that are not known to be stored, in order. */
  get waiting(): readonly SpooledChunk[] {
    return this.#waiting.map(({ chunk }) => chunk);
  }

  /** Sends a chunk behind all others. Its caller waits for `room` before the next. */
  add(chunk: SpooledChunk): void {
    this.#waiting.push({ chunk, isStored: false });
    this.#bytes += chunk.data.length;
    this.#pump();
  }

  /** Resolves when more may be added, or the signal has aborted. */
  room(): Promise<void> {
    return this.until(() => this.#bytes < MAX_WINDOW_BYTES);
  }

  /** Whether no chunk up to this one waits. */
  hasStored(sequence: number): boolean {
    return (this.#waiting[0]?.chunk.state.sequence ?? Number.POSITIVE_INFINITY) > sequence;
  }

  /** Resolves when a condition holds, which is looked at whenever a chunk was stored, or the signal has aborted. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#options.signal.aborted) {
      await new Promise<void>((resolve) => this.#listeners.push(resolve));
    }
  }

  #pump(): void {
    while (!this.#isResting && !this.#options.signal.aborted && (this.#isProven || this.#inFlight === 0)) {
      const sent = this.#waiting[this.#next];
      if (sent === undefined) return;
      this.#next += 1;
      this.#inFlight += 1;
      void this.#send(sent);
    }
  }

  async #send(sent: Sent): Promise<void> {
    const { publish, logger } = this.#options;
    try {
      await publish(sent.chunk);
      sent.isStored = true;
    } catch (error) {
      logger.debug({ err: error, sequence: sent.chunk.state.sequence }, "log chunk not stored, trying again");
      this.#isResting = true;
    }
    this.#inFlight -= 1;
    if (!this.#isResting) this.#forgetStored();
    else if (this.#inFlight === 0) await this.#goBack();
    this.#pump();
  }

  #forgetStored(): void {
    let stored = 0;
    for (let first = this.#waiting[0]; first?.isStored; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#next -= 1;
      this.#bytes -= first.chunk.data.length;
      stored = first.chunk.state.sequence;
    }
    if (stored === 0) return;
    this.#isProven = true;
    this.#restMs = MIN_REST_MS;
    this.#options.onStored(stored);
    this.#tell();
  }

  async #goBack(): Promise<void> {
    const { clock, signal } = this.#options;
    this.#forgetStored();
    await clock.sleep(this.#restMs * (0.5 + jitter() / 2), signal).catch(() => {}); // Seen by the pump.
    this.#restMs = Math.min(MAX_REST_MS, this.#restMs * 2);
    this.#next = 0;
    this.#isResting = false;
    for (const sent of this.#waiting) sent.isStored = false;
  }

  #tell(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}
