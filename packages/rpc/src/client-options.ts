import type { Clock } from "@kedge/kernel";

/** Settings of `connectRpc` and `createRpcClient`. */
export interface RpcClientOptions {
  /** `host:port` of the controller. */
  readonly address: string;
  /** CA that signed the server's certificate. Default: the CAs Node trusts. The connection is always TLS. */
  readonly caPem?: string;
  /** Bearer token of every call. */
  readonly token?: string;
  /** Name to expect in the server's certificate; default: the host of `address`. */
  readonly serverName?: string;
  /** Deadline of unary calls, milliseconds; 0: none. Default 30,000. */
  readonly defaultDeadlineMs?: number;
  /** Connections to spread calls over. Default 1. */
  readonly pool?: number;
  /** How long a call waits for a connection before it fails. Default 0: fails at once when the server is away. */
  readonly waitForReadyMs?: number;
  /** Largest message either way, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  readonly clock?: Clock;
}
