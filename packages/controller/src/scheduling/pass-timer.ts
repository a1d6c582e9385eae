import type { Clock } from "@kedge/kernel";

/** What is done, and how often at most. */
export interface PassTimerOptions {
  readonly clock: Clock;
  /** One pass. Never called twice at once. */
  readonly pass: () => PassOutcome;
}

/** What a pass came to. */
export interface PassOutcome {
  /** The passing of time alone may change what the next one finds. */
  readonly isOpen: boolean;
  /** It changed nothing for anybody. */
  readonly isVain: boolean;
}

/** Requests that come within this time share a pass. */
const COALESCE_MS = 2;
/** While something waits, a pass is made at least this often. */
const RESYNC_MS = 2_000;
/** After a pass as many times its duration belong to others... */
const REST = 2;
/** ...and after one in vain: jobs that join a long queue behind which there is no room ask for little else. */
const REST_AFTER_VAIN = 12;

/** Makes passes when they are asked for, many requests to one, and never for more than a third of the time. */
export class PassTimer {
  readonly #options: PassTimerOptions;
  #cancel = (): void => {};
  #isRequested = false;
  #isStopped = true;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: PassTimerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#isStopped = false;
    this.request();
  }

  /** Asks for a pass soon. */
  request(): void {
    if (this.#isRequested || this.#isStopped) return;
    this.#isRequested = true;
    this.#after(Math.max(COALESCE_MS, this.#notBeforeMs - this.#options.clock.monotonic()));
  }

  /** Ends everything; may be called twice. */
  stop(): void {
    this.#isStopped = true;
    this.#isRequested = false;
    this.#cancel();
  }

  #after(ms: number): void {
    this.#cancel();
    this.#cancel = this.#options.clock.after(ms, () => this.#run());
  }

  #run(): void {
    const { clock, pass } = this.#options;
    this.#isRequested = false;
    const beganMs = clock.monotonic();
    const { isOpen, isVain } = pass();
    const endedMs = clock.monotonic();
    this.#notBeforeMs = endedMs + (isVain ? REST_AFTER_VAIN : REST) * (endedMs - beganMs);
    if (isOpen && !this.#isRequested) this.#after(RESYNC_MS);
  }
}
