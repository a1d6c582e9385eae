import { Server, ServerCredentials } from "@grpc/grpc-js";
import { KedgeError } from "@kedge/domain";
import { splitAddress } from "./address.ts";
import { serviceDefinition } from "./method-definition.ts";
import type { CallHost } from "./server-call.ts";
import type { ServerContext } from "./server-context.ts";
import { handlersOf } from "./server-handlers.ts";
import type { RpcServer, RpcServerOptions, ServerTls } from "./server-options.ts";
import { addHealth, addReflection } from "./standard-services.ts";

const DEFAULT_GRACE_MS = 5_000;
/** Memory one connection may make HTTP/2 hold, megabytes: bounds what a hostile peer can pin. */
const SESSION_MEMORY_MB = 64;

/**
 * Makes a server; `start` opens the port.
 *
 * @throws KedgeError INVALID_OPTION for a bad address or a method without implementation.
 */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  splitAddress(options.address);
  return new GrpcServer(options);
}

class GrpcServer implements RpcServer {
  readonly name = "rpc-server";
  readonly setServing: (serving: boolean) => void;
  readonly #options: RpcServerOptions;
  readonly #server: Server;
  readonly #streams = new Set<ServerContext>();
  #port = 0;
  #stopped: Promise<void> | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    const maxMessageBytes = options.maxMessageBytes ?? 4 * 1024 * 1024;
    this.#server = new Server({
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
      "grpc.max_concurrent_streams": options.maxConcurrentStreams ?? 1_000,
      "grpc.keepalive_time_ms": 30_000,
      "grpc.keepalive_timeout_ms": 10_000,
      "grpc-node.max_session_memory": SESSION_MEMORY_MB,
    });
    const host: CallHost = {
      authenticate: options.authenticate,
      logger: options.logger,
      clock: options.clock,
      onCall: options.onCall ?? (() => {}),
      defaultDeadlineMs: options.defaultDeadlineMs ?? 30_000,
      streams: this.#streams,
    };
    for (const service of options.services) {
      this.#server.addService(serviceDefinition(service.desc), handlersOf(service, host));
    }
    const services = options.services.map((service) => service.desc);
    this.setServing = addHealth(this.#server, services);
    addReflection(this.#server, services);
  }

  get port(): number {
    return this.#port;
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { address } = this.#options;
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(address, credentials(this.#options.tls), (cause, port) => {
        if (cause === null) return resolve(port);
        const message = `cannot listen on ${address}: ${cause.message}`;
        reject(new KedgeError("INVALID_OPTION", message, { cause, field: "address" }));
      });
    });
    this.#options.logger.info({ address, port: this.#port }, "rpc server listens");
  }

  stop(graceMs = DEFAULT_GRACE_MS): Promise<void> {
    this.#stopped ??= this.#shutDown(graceMs);
    return this.#stopped;
  }

  async #shutDown(graceMs: number): Promise<void> {
    this.setServing(false);
    const reason = new KedgeError("CONTROLLER_UNAVAILABLE", "the server is stopping", { hint: "Connect again." });
    const closed = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    for (const stream of this.#streams) stream.cut(reason);
    const cancelForce = this.#options.clock.after(graceMs, () => this.#server.forceShutdown());
    await closed;
    cancelForce();
  }
}

function credentials(tls: ServerTls): ServerCredentials {
  const chain = Buffer.from(tls.caPem === undefined ? tls.certPem : `${tls.certPem.trimEnd()}\n${tls.caPem}`);
  return ServerCredentials.createSsl(null, [{ cert_chain: chain, private_key: Buffer.from(tls.keyPem) }], false);
}
