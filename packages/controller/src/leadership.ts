import { hostname } from "node:os";
import { type Bus, LeaderLease } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import type { Component } from "@kedge/kernel";
import type { Assembly } from "./assemble.ts";
import { isRead } from "./auth/principal.ts";
import type { ControllerConfig } from "./config.ts";

/** What leading depends on. */
export interface LeadershipOptions {
  readonly bus: Bus;
  readonly assembly: Assembly;
  readonly config: ControllerConfig;
}

const POLL_MS = 5;

/** Runs the loops while the lease is held, and refuses changes while it is not. */
export class Leadership implements Component {
  readonly name = "leadership";
  readonly #options: LeadershipOptions;
  readonly #lease: LeaderLease;
  #loops: Promise<void> = Promise.resolve();

  constructor(options: LeadershipOptions) {
    this.#options = options;
    const { assembly, bus, config } = options;
    const { clock, logger } = config;
    this.#lease = new LeaderLease({
      bus,
      key: "controller",
      holder: `${hostname()}:${config.dataDir}`,
      onElected: () => {
        this.#loops = assembly.loops.start().catch((err: unknown) => logger.error({ err }, "the loops did not start"));
      },
      onLost: () => {
        this.#loops = assembly.loops.stop().catch((err: unknown) => logger.error({ err }, "the loops did not stop"));
      },
      clock,
      logger,
    });
  }

  get isLeader(): boolean {
    return this.#lease.isLeader;
  }

  /** @throws KedgeError NOT_LEADER when the method changes something and this controller does not lead. */
  assertMay(method: string): void {
    if (isRead(method) || this.isLeader) return;
    throw new KedgeError("NOT_LEADER", "this controller does not hold the lease", {
      hint: "it comes back with NATS; or ask the controller that leads",
    });
  }

  /** Resolves when the lease is held and the loops run. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#lease.start();
    while (!this.isLeader) await this.#options.config.clock.sleep(POLL_MS, signal);
    await this.#loops;
  }

  async stop(): Promise<void> {
    await this.#lease.stop();
    await this.#loops;
  }
}
