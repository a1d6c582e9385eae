import type { Component } from "@kedge/kernel";
import fastify, { type FastifyInstance } from "fastify";
import type { HostPort } from "./config.ts";
import type { ControllerMetrics } from "./metrics.ts";

/** What the HTTP side shows. */
export interface HttpServerOptions {
  readonly listen: HostPort;
  readonly metrics: ControllerMetrics;
  /** Adds what else is answered; each route guards itself. */
  readonly routes: (server: FastifyInstance) => void;
  /** Undefined: ready; else what is missing. */
  readonly notReady: () => string | undefined;
}

/** Plain HTTP for those that watch: /metrics, /healthz, /readyz, graphs of incidents; and for signed webhooks. */
export class HttpServer implements Component {
  readonly name = "http";
  readonly #options: HttpServerOptions;
  readonly #server: FastifyInstance;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = fastify({ logger: false });
    this.#server.get("/healthz", async () => ({ status: "ok" }));
    this.#server.get("/readyz", async (_request, reply) => {
      const missing = options.notReady();
      if (missing !== undefined) reply.code(503);
      return missing === undefined ? { status: "ready" } : { status: "not ready", reason: missing };
    });
    this.#server.get("/metrics", async (_request, reply) => {
      reply.header("content-type", options.metrics.registry.contentType);
      return options.metrics.registry.metrics();
    });
    options.routes(this.#server);
  }

  /** host:port it listens on, once started. */
  get address(): string {
    const address = this.#server.server.address();
    const port = typeof address === "object" && address !== null ? address.port : this.#options.listen.port;
    return `${this.#options.listen.host}:${port}`;
  }

  async start(): Promise<void> {
    await this.#server.listen({ host: this.#options.listen.host, port: this.#options.listen.port });
  }

  async stop(): Promise<void> {
    await this.#server.close();
  }
}
