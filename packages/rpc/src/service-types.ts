import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Role } from "@kedge/proto";

/** Who makes a call, as `authenticate` found out. */
export interface Principal {
  /** For audit fields such as `submitted_by`. */
  readonly name: string;
  readonly role: Role;
  /** The team whose share its runs use; absent: "default". */
  readonly team?: string;
  /** Set for the token of a running task: the run it belongs to. */
  readonly runId?: string;
  /** Set for the token of a running task. */
  readonly taskId?: string;
}

/** What a handler knows of its call besides the request. Valid until the call ends. */
export interface CallContext {
  /** Aborts when the client cancels or goes away, when the deadline passes, and when the server stops. */
  readonly signal: AbortSignal;
  readonly principal: Principal;
  /** Address of the other side, `host:port`. */
  readonly peer: string;
  /** Wall time in milliseconds since 1970 at which the call ends; undefined for a stream without deadline. */
  readonly deadlineMs: number | undefined;
  /** First value of a request header, by lower-case name; binary headers (`-bin`) are not offered. */
  metadata(name: string): string | undefined;
}

type Request<M extends DescMethod> = MessageShape<M["input"]>;
type Reply<M extends DescMethod> = MessageInitShape<M["output"]>;

type Handler<M extends DescMethod> = M["methodKind"] extends "unary"
  ? (request: Request<M>, context: CallContext) => Promise<Reply<M>>
  : M["methodKind"] extends "server_streaming"
    ? (request: Request<M>, context: CallContext) => AsyncIterable<Reply<M>>
    : M["methodKind"] extends "client_streaming"
      ? (requests: AsyncIterable<Request<M>>, context: CallContext) => Promise<Reply<M>>
      : (requests: AsyncIterable<Request<M>>, context: CallContext) => AsyncIterable<Reply<M>>;

/**
 * The methods a server gives to a service, by their local (camelCase) names. A stream that a handler returns is read
 * only as fast as the client takes it, and is closed (`return()`) when the call ends early.
 */
export type ServiceImplementation<S extends DescService> = {
  readonly [K in keyof S["method"]]: Handler<S["method"][K]>;
};

/** Settings of one call. */
export interface CallOptions {
  /** Cancels the call. */
  readonly signal?: AbortSignal;
  /** Time the call may take, milliseconds; 0: no limit. Default: the client's for unary calls, none for streams. */
  readonly deadlineMs?: number;
  /** Extra request headers. */
  readonly metadata?: Readonly<Record<string, string>>;
}

type Sent<M extends DescMethod> = MessageInitShape<M["input"]>;
type Received<M extends DescMethod> = MessageShape<M["output"]>;

type ClientMethod<M extends DescMethod> = M["methodKind"] extends "unary"
  ? (request: Sent<M>, options?: CallOptions) => Promise<Received<M>>
  : M["methodKind"] extends "server_streaming"
    ? (request: Sent<M>, options?: CallOptions) => AsyncIterable<Received<M>>
    : M["methodKind"] extends "client_streaming"
      ? (requests: AsyncIterable<Sent<M>>, options?: CallOptions) => Promise<Received<M>>
      : (requests: AsyncIterable<Sent<M>>, options?: CallOptions) => AsyncIterable<Received<M>>;

/**
 * The methods of a service as a client calls them. Every failure is a KedgeError. A received stream is a lazy
 * iterable: the call starts with the first `next()`, and leaving the loop cancels it; iterate it once.
 */
export type RpcMethods<S extends DescService> = { readonly [K in keyof S["method"]]: ClientMethod<S["method"][K]> };

/** A service's methods plus the connection's end. */
export type RpcClient<S extends DescService> = RpcMethods<S> & {
  /** Closes the connections unless they are shared with other clients. May be called twice. */
  close(): void;
};
