import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import type { DescService } from "@bufbuild/protobuf";
import { ChannelCredentials, Client, Metadata } from "@grpc/grpc-js";
import { KedgeError } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import { splitAddress } from "./address.ts";
import { type CallTarget, clientMethods } from "./client-calls.ts";
import type { RpcClientOptions } from "./client-options.ts";
import type { RpcClient, RpcMethods } from "./service-types.ts";

const MAX_POOL = 16;
/** What the server may have on the way: with HTTP/2's own 64 KiB a large message waits for its receiver several times. */
const FLOW_WINDOW_BYTES = 1024 * 1024;

/** Connections to one server, shared by the clients of several services. */
export interface RpcConnection {
  client<S extends DescService>(service: S): RpcMethods<S>;
  /** Cancels calls in progress. May be called twice. */
  close(): void;
}

/**
 * Makes connections, opened by the first call and again whenever they break.
 *
 * @throws KedgeError INVALID_OPTION for a bad address or pool size.
 */
export function connectRpc(options: RpcClientOptions): RpcConnection {
  const pool = options.pool ?? 1;
  if (!Number.isInteger(pool) || pool < 1 || pool > MAX_POOL) {
    throw new KedgeError("INVALID_OPTION", `pool: expected 1 to ${MAX_POOL}, got ${pool}`, { field: "pool" });
  }
  const clients = Array.from({ length: pool }, () => openClient(options));
  const target = callTarget(options, clients);
  return {
    client: (service) => clientMethods(service, target),
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

/** A client of one service with connections of its own. Use `connectRpc` to share them between services. */
export function createRpcClient<S extends DescService>(desc: S, options: RpcClientOptions): RpcClient<S> {
  const connection = connectRpc(options);
  return Object.assign(connection.client(desc), { close: () => connection.close() });
}

function openClient(options: RpcClientOptions): Client {
  const { host } = splitAddress(options.address);
  const maxMessageBytes = options.maxMessageBytes ?? 4 * 1024 * 1024;
  const ca = options.caPem === undefined ? null : Buffer.from(options.caPem);
  return new Client(options.address, serverIdentity(ca, options.serverName ?? host), {
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    "grpc-node.flow_control_window": FLOW_WINDOW_BYTES,
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 5_000,
    "grpc.service_config_disable_resolution": 1,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.ssl_target_name_override": sniName(options.serverName ?? host),
    ...(options.serverName === undefined ? {} : { "grpc.default_authority": options.serverName }),
  });
}

/** Credentials that demand a certificate for `name`, which may be an IP address. */
function serverIdentity(ca: Buffer | null, name: string): ChannelCredentials {
  return ChannelCredentials.createSsl(ca, null, null, {
    checkServerIdentity: (_sni, certificate) => checkServerIdentity(name, certificate),
  });
}

/** TLS has no way to ask for an IP address (RFC 6066, section 3); the server is asked for no name it could know. */
function sniName(name: string): string {
  return isIP(name) === 0 ? name : "address.invalid";
}

function callTarget(options: RpcClientOptions, clients: readonly Client[]): CallTarget {
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set("authorization", `Bearer ${options.token}`);
  const clock = options.clock ?? systemClock;
  let turn = 0;
  return {
    address: options.address,
    clock,
    metadata,
    defaultDeadlineMs: options.defaultDeadlineMs ?? 30_000,
    waitForReadyMs: options.waitForReadyMs ?? 0,
    pick: () => {
      turn = (turn + 1) % clients.length;
      const client = clients[turn];
      if (client === undefined) throw new KedgeError("INTERNAL", "the connection pool is empty");
      return client;
    },
  };
}
