import type { DescService } from "@bufbuild/protobuf";
import type { Clock, Component, Logger } from "@kedge/kernel";
import type { Principal, ServiceImplementation } from "./service-types.ts";

/** A service together with its methods; made by `bindService`. */
export interface BoundService {
  readonly desc: DescService;
  readonly impl: Readonly<Record<string, unknown>>;
}

/** Pairs a service with its implementation, and checks that they fit. `this` in a method is the implementation. */
export function bindService<S extends DescService>(desc: S, impl: ServiceImplementation<S>): BoundService {
  return { desc, impl };
}

/** Names a method for `authenticate`. */
export interface MethodName {
  /** Full name, e.g. "kedge.v1.RunService". */
  readonly service: string;
  /** Local name, e.g. "submitRun". */
  readonly method: string;
}

/** One finished call, for metrics. */
export interface CallRecord extends MethodName {
  /** gRPC status number; 0: OK. */
  readonly code: number;
  readonly ms: number;
}

/** PEM texts of a server's identity. */
export interface ServerTls {
  readonly certPem: string;
  readonly keyPem: string;
  /** Sent at the end of the chain, so that a joining node can compare it with its token's fingerprint. */
  readonly caPem?: string;
}

/** Settings of `createRpcServer`. */
export interface RpcServerOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  readonly tls: ServerTls;
  readonly services: readonly BoundService[];
  /**
   * Tells who calls. The token is what follows "Bearer " in the authorization header. Throws KedgeError UNAUTHENTICATED
   * or PERMISSION_DENIED to refuse. Must answer with a principal for methods that need no token, too.
   */
  readonly authenticate: (token: string | undefined, method: MethodName) => Principal | Promise<Principal>;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Called once for every call of the services above. Must not throw. */
  readonly onCall?: (record: CallRecord) => void;
  /** Deadline of unary calls that come without one, milliseconds. Default 30,000. */
  readonly defaultDeadlineMs?: number;
  /** Largest message either way, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Calls in progress at once on one connection; more wait at the client. Default 1,000. */
  readonly maxConcurrentStreams?: number;
}

/** A gRPC server with standard health checking and reflection. */
export interface RpcServer extends Component {
  /** The port it listens on; known once started. */
  readonly port: number;
  /** What the standard health service says of every service. False until the first call. */
  setServing(serving: boolean): void;
  /**
   * Refuses new calls, aborts streams, lets unary calls finish for `graceMs` (default 5,000), then cuts them off.
   * May be called twice.
   */
  stop(graceMs?: number): Promise<void>;
}
