import { type Clock, jitter } from "@kedge/kernel";

const MIN_MS = 100;
const MAX_MS = 15_000;
/** A replica that was ready for so long starts over with the shortest wait. */
const STABLE_MS = 60_000;

/**
 * How long to wait before something that failed is started again: twice as long each time, from 0.1 to 15 s, of which
 * half is by chance, so that many that failed together do not come back together.
 */
export class RestartBackoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;
  #readyAtMs: number | undefined;

  /** `random` is in [0, 1). */
  constructor(clock: Clock, random: () => number = jitter) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Failures one after the other, without a minute of being ready between them. */
  get failures(): number {
    return this.#failures;
  }

  /** It is ready from now on. */
  ready(): void {
    this.#readyAtMs = this.#clock.monotonic();
  }

  /** It failed; gives the time to wait, in milliseconds. */
  failed(): number {
    const readyMs = this.#readyAtMs === undefined ? 0 : this.#clock.monotonic() - this.#readyAtMs;
    this.#readyAtMs = undefined;
    this.#failures = readyMs >= STABLE_MS ? 1 : this.#failures + 1;
    const fullMs = Math.min(MAX_MS, MIN_MS * 2 ** (this.#failures - 1));
    return fullMs * (0.5 + this.#random() / 2);
  }
}
