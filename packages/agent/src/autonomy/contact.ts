import type { Clock } from "@kedge/kernel";

/** How contact is kept. */
export interface ContactOptions {
  readonly clock: Clock;
  /** Silence after which the node is on its own. */
  readonly cutOffMs: number;
  /** The controller was heard for the first time, or again after the node was on its own. */
  readonly onRegained: () => void;
}

/**
 * Whether this node is cut off. The leader of the controllers says every second that it is there; when nothing is heard for
 * long, the network, NATS or the controller is gone, and it does not matter which.
 */
export class Contact {
  readonly #options: ContactOptions;
  #heardAt: number;
  #isNew = true;

  constructor(options: ContactOptions) {
    this.#options = options;
    this.#heardAt = options.clock.monotonic();
  }

  /** Milliseconds since the controller was last heard, or since the start. */
  get silentMs(): number {
    return this.#options.clock.monotonic() - this.#heardAt;
  }

  get isCutOff(): boolean {
    return this.silentMs >= this.#options.cutOffMs;
  }

  /** The controller is there. */
  heard(): void {
    const isRegained = this.#isNew || this.isCutOff;
    this.#isNew = false;
    // First, so that the callback still sees how long it was silent.
    if (isRegained) this.#options.onRegained();
    this.#heardAt = this.#options.clock.monotonic();
  }
}
