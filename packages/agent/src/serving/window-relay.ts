import type { Window } from "@kedge/proto";

const MAX_WAITING = 512;

/**
 * Passes the gateway's windows on. While the bus is away up to 512 of them wait; after that the oldest are dropped,
 * as a judge wants recent ones.
 */
export class WindowRelay {
  readonly #publish: (window: Window) => void;
  readonly #isConnected: () => boolean;
  readonly #waiting: Window[] = [];
  dropped = 0;

  constructor(options: { publish: (window: Window) => void; isConnected: () => boolean }) {
    this.#publish = options.publish;
    this.#isConnected = options.isConnected;
  }

  /** Takes a window, and publishes all that wait if it can. Never throws. */
  add(window: Window): void {
    this.#waiting.push(window);
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.shift();
      this.dropped += 1;
    }
    this.flush();
  }

  flush(): void {
    while (this.#isConnected()) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#publish(next);
    }
  }
}
