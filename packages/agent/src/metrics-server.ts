import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import type { ListenAddress } from "./config.ts";

/** What /healthz tells. */
export interface Health {
  readonly nodeId: string;
  readonly connected: boolean;
  readonly leaseHeld: boolean;
  readonly gateway: string;
}

/** A running metrics server. */
export interface MetricsServer {
  readonly address: string;
  stop(): Promise<void>;
}

/**
 * Serves /metrics for Prometheus and /healthz. Healthy means that the agent works; being cut off from the controller is
 * something it is built for, so it is told and does not make it unhealthy. Plain node:http, as memory at rest counts.
 */
export async function startMetricsServer(
  listen: ListenAddress,
  registry: Registry,
  health: () => Health,
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") return response.writeHead(405).end();
    if (request.url === "/healthz") {
      return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(health()));
    }
    if (request.url !== "/metrics") return response.writeHead(404).end();
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
    return response;
  });
  const { address, port } = await listening(server, listen);
  return {
    address: `${address}:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, { host, port }: ListenAddress): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      const address = server.address();
      if (address !== null && typeof address !== "string") resolve(address);
    });
  });
}
