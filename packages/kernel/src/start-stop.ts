import type { Logger } from "./logger.ts";

/** Something with a lifetime. */
export interface Component {
  readonly name: string;
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Components started in order and stopped in reverse. When one fails to start, those before it are stopped and the
 * error is thrown. Stopping goes on past failures and logs them.
 */
export class ComponentGroup {
  readonly #components: readonly Component[];
  readonly #logger: Logger;
  #started: Component[] = [];

  constructor(components: readonly Component[], logger: Logger) {
    this.#components = components;
    this.#logger = logger;
  }

  async start(signal: AbortSignal): Promise<void> {
    for (const component of this.#components) {
      try {
        signal.throwIfAborted();
        await component.start(signal);
        this.#started.push(component);
      } catch (error) {
        await this.stop();
        throw error;
      }
    }
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    const started = this.#started.reverse();
    this.#started = [];
    for (const component of started) {
      try {
        await component.stop();
      } catch (error) {
        this.#logger.warn({ err: error, component: component.name }, "component did not stop cleanly");
      }
    }
  }
}
