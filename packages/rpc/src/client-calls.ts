import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import {
  type Client,
  connectivityState,
  type CallOptions as GrpcCallOptions,
  type Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { errorMessage, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { callError } from "./error-status.ts";
import { methodDefinition } from "./method-definition.ts";
import type { CallOptions, RpcMethods } from "./service-types.ts";
import { pump } from "./stream-flow.ts";

type Init = MessageInitShape<DescMessage>;
type Definition = ReturnType<typeof methodDefinition>;

/** Where a service's calls go, and with what. */
export interface CallTarget {
  readonly address: string;
  readonly clock: Clock;
  /** Headers of every call; grpc-js copies them before it adds its own. */
  readonly metadata: Metadata;
  readonly defaultDeadlineMs: number;
  readonly waitForReadyMs: number;
  /** The connection for the next call. */
  readonly pick: () => Client;
}

/** The methods of a service, by local name. */
export function clientMethods<S extends DescService>(service: S, target: CallTarget): RpcMethods<S> {
  const methods = Object.fromEntries(service.methods.map((method) => [method.localName, callerOf(method, target)]));
  // The mapped type and this object have the same keys and shapes by construction, which TypeScript cannot follow.
  return methods as RpcMethods<S>;
}

function callerOf(method: DescMethod, target: CallTarget) {
  const kind = method.methodKind;
  switch (kind) {
    case "unary":
      return unaryCaller(method, target);
    case "client_streaming":
      return clientStreamCaller(method, target);
    case "server_streaming":
      return serverStreamCaller(method, target);
    case "bidi_streaming":
      return bidiCaller(method, target);
    default:
      return kind satisfies never;
  }
}

function unaryCaller(method: DescMethod, target: CallTarget) {
  const definition = methodDefinition(method);
  return async (request: Init, options?: CallOptions): Promise<Message> => {
    const client = target.pick();
    if (!isOpen(client)) await connected(client, target, options);
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        create(method.input, request),
        headers(target, options),
        grpcOptions(target, options, target.defaultDeadlineMs),
        (error, reply) => settle({ error, reply, target }, resolve, reject),
      );
      linkSignal(call, options?.signal);
    });
  };
}

function clientStreamCaller(method: DescMethod, target: CallTarget) {
  const definition = methodDefinition(method);
  return async (requests: AsyncIterable<Init>, options?: CallOptions): Promise<Message> => {
    const client = target.pick();
    if (!isOpen(client)) await connected(client, target, options);
    return new Promise((resolve, reject) => {
      const call = client.makeClientStreamRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        headers(target, options),
        grpcOptions(target, options, 0),
        (error, reply) => settle({ error, reply, target }, resolve, reject),
      );
      linkSignal(call, options?.signal);
      feed(method, requests, call).catch((error: unknown) => {
        // The source failed, not the call: its own error is the one to report.
        call.cancel();
        reject(error);
      });
    });
  };
}

function serverStreamCaller(method: DescMethod, target: CallTarget) {
  const definition = methodDefinition(method);
  return async function* (request: Init, options?: CallOptions): AsyncGenerator<Message> {
    const client = target.pick();
    if (!isOpen(client)) await connected(client, target, options);
    const call = client.makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      create(method.input, request),
      headers(target, options),
      grpcOptions(target, options, 0),
    );
    linkSignal(call, options?.signal);
    yield* drain(call, target);
  };
}

function bidiCaller(method: DescMethod, target: CallTarget) {
  const definition = methodDefinition(method);
  return async function* (requests: AsyncIterable<Init>, options?: CallOptions): AsyncGenerator<Message> {
    const client = target.pick();
    if (!isOpen(client)) await connected(client, target, options);
    const call = openBidi(client, definition, headers(target, options), grpcOptions(target, options, 0));
    linkSignal(call, options?.signal);
    let failure: unknown;
    feed(method, requests, call).catch((error: unknown) => {
      failure = error;
      call.cancel();
    });
    try {
      yield* drain(call, target);
    } catch (error) {
      throw failure ?? error;
    }
  };
}

function openBidi(client: Client, definition: Definition, metadata: Metadata, options: GrpcCallOptions) {
  const { path, requestSerialize, responseDeserialize } = definition;
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options);
}

interface Outcome {
  readonly error: ServiceError | null;
  readonly reply: Message | undefined;
  readonly target: CallTarget;
}

function settle(outcome: Outcome, resolve: (reply: Message) => void, reject: (error: KedgeError) => void): void {
  const { error, reply, target } = outcome;
  if (error !== null) reject(callError(error, target.address));
  else if (reply === undefined) reject(new KedgeError("INTERNAL", "the server answered without a message"));
  else resolve(reply);
}

/** A call's messages; the call is cancelled when the reader leaves. */
async function* drain(call: AsyncIterable<Message> & { cancel(): void }, target: CallTarget): AsyncGenerator<Message> {
  try {
    yield* call;
  } catch (error) {
    throw callError(error, target.address);
  } finally {
    call.cancel();
  }
}

type Outgoing = Parameters<typeof pump>[0]["sink"] & { end(): void };

async function feed(method: DescMethod, requests: AsyncIterable<Init>, call: Outgoing): Promise<void> {
  let over = false;
  await pump({
    source: requests,
    sink: call,
    encode: (request) => create(method.input, request),
    isOver: () => over,
    onOver: (callback) =>
      call.once("status", () => {
        over = true;
        callback();
      }),
  });
  if (!over) call.end();
}

function linkSignal(
  call: { cancel(): void; once(event: "status", listener: () => void): unknown },
  signal?: AbortSignal,
): void {
  if (signal === undefined) return;
  if (signal.aborted) {
    call.cancel();
    return;
  }
  const onAbort = (): void => call.cancel();
  signal.addEventListener("abort", onAbort, { once: true });
  call.once("status", () => signal.removeEventListener("abort", onAbort));
}

function headers(target: CallTarget, options?: CallOptions): Metadata {
  if (options?.metadata === undefined) return target.metadata;
  const metadata = target.metadata.clone();
  for (const [name, value] of Object.entries(options.metadata)) metadata.set(name, value);
  return metadata;
}

function grpcOptions(target: CallTarget, options: CallOptions | undefined, defaultDeadlineMs: number): GrpcCallOptions {
  const deadlineMs = options?.deadlineMs ?? defaultDeadlineMs;
  return deadlineMs === 0 ? {} : { deadline: target.clock.now() + deadlineMs };
}

function isOpen(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

/** Waits for a connection when the client was told to; without that, grpc-js fails the call as it sees fit. */
async function connected(client: Client, target: CallTarget, options: CallOptions | undefined): Promise<void> {
  if (options?.signal?.aborted) throw new KedgeError("CANCELLED", "the call was cancelled before it began");
  if (target.waitForReadyMs === 0) return;
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(new KedgeError("CANCELLED", "the call was cancelled before it began"));
    options?.signal?.addEventListener("abort", onAbort, { once: true });
    client.waitForReady(target.clock.now() + target.waitForReadyMs, (cause) => {
      options?.signal?.removeEventListener("abort", onAbort);
      if (cause === undefined) return resolve();
      const message = `no connection to ${target.address} within ${target.waitForReadyMs} ms: ${errorMessage(cause)}`;
      reject(new KedgeError("CONTROLLER_UNAVAILABLE", message, { cause, hint: "Check that the controller runs." }));
    });
  });
}
