import type { Gateway, GatewayService } from "@kedge/gateway";
import type { Logger } from "@kedge/kernel";

/**
 * Keeps the gateway at the newest services. Calls while one is being applied are merged, so the gateway always goes
 * straight to the latest state; nothing slow is ever waited for.
 */
export class Traffic {
  readonly #gateway: Gateway;
  readonly #services: () => GatewayService[];
  readonly #logger: Logger;
  readonly #onApplied: () => void;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: { gateway: Gateway; services: () => GatewayService[]; logger: Logger; onApplied: () => void }) {
    this.#gateway = options.gateway;
    this.#services = options.services;
    this.#logger = options.logger;
    this.#onApplied = options.onApplied;
  }

  /** Resolves once a state at least as new as now was given to the gateway. Never throws. */
  apply(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#applyOnce().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.apply();
    });
    return this.#next;
  }

  async #applyOnce(): Promise<void> {
    try {
      await this.#gateway.apply(this.#services());
      this.#onApplied();
    } catch (error) {
      // The gateway keeps the services and applies them when HAProxy is back.
      this.#logger.warn({ err: error }, "gateway did not take the routes");
    }
  }
}
