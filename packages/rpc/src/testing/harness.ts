import { silentLogger, systemClock } from "@kedge/kernel";
import { Role } from "@kedge/proto";
import { createRpcServer } from "../server.ts";
import type { BoundService, RpcServer, RpcServerOptions } from "../server-options.ts";
import { makeCertificates, type TestCertificates } from "./certificates.ts";

/** A started server and what a client needs to reach it. */
export interface Harness {
  readonly server: RpcServer;
  readonly certificates: TestCertificates;
  readonly connection: { readonly address: string; readonly caPem: string; readonly token: string };
}

/** Starts a server on a free port that takes every token for an admin of that name. */
export async function startServer(
  services: readonly BoundService[],
  options: Partial<RpcServerOptions> = {},
): Promise<Harness> {
  const certificates = makeCertificates();
  const server = createRpcServer({
    address: "127.0.0.1:0",
    tls: certificates,
    logger: silentLogger,
    clock: systemClock,
    authenticate: (token) => ({ name: token ?? "nobody", role: Role.ADMIN }),
    services,
    ...options,
  });
  await server.start(new AbortController().signal);
  const address = `127.0.0.1:${server.port}`;
  return { server, certificates, connection: { address, caPem: certificates.caPem, token: "tester" } };
}
