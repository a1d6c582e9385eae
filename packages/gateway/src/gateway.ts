import type { Component } from "@kedge/kernel";
import type { AppliedRoute } from "@kedge/proto";
import {
  type GatewayOptions,
  type GatewayService,
  type ResolvedGatewayOptions,
  resolveGatewayOptions,
} from "./gateway-options.ts";
import type { GatewayStats } from "./gateway-stats.ts";

/** The HAProxy of a serving node. */
export class Gateway implements Component {
  readonly name = "gateway";
  readonly #options: ResolvedGatewayOptions;

  constructor(options: GatewayOptions) {
    this.#options = resolveGatewayOptions(options);
  }

  /** host:port where users connect; known after start. */
  get address(): string {
    return `${this.#options.listen.host}:${this.#options.listen.port}`;
  }

  async start(_signal: AbortSignal): Promise<void> {}

  /** Ends HAProxy gracefully, or leaves it serving for the next process to adopt. */
  async stop(_options: { readonly keepServing?: boolean } = {}): Promise<void> {}

  /** Makes HAProxy match. */
  async apply(_services: readonly GatewayService[]): Promise<void> {}

  appliedRoutes(): AppliedRoute[] {
    return [];
  }

  async inFlight(_replicaId: string): Promise<number> {
    return 0;
  }

  stats(): GatewayStats {
    return { deployments: [], unattributed: 0, starts: 0, reloads: 0 };
  }
}
