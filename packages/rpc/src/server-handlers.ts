import { setImmediate as nextTurn } from "node:timers/promises";
import { create, type DescMessage, type DescMethod, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { KedgeError } from "@kedge/domain";
import { type CallHost, serveCall } from "./server-call.ts";
import type { ServerContext } from "./server-context.ts";
import type { BoundService } from "./server-options.ts";
import type { CallContext } from "./service-types.ts";
import { pump } from "./stream-flow.ts";

const CLIENT_LEFT = "the client went away in the middle of its stream";

type Init = MessageInitShape<DescMessage>;
type Single = (request: unknown, context: CallContext) => Promise<Init>;
type Streaming = (request: unknown, context: CallContext) => AsyncIterable<Init>;

/**
 * The handlers of a service as grpc-js takes them.
 *
 * @throws KedgeError INVALID_OPTION when a method has no implementation.
 */
export function handlersOf(service: BoundService, host: CallHost): UntypedServiceImplementation {
  return Object.fromEntries(
    service.desc.methods.map((method) => [method.localName, handlerOf(method, service.impl, host)]),
  );
}

function handlerOf(method: DescMethod, impl: BoundService["impl"], host: CallHost): UntypedHandleCall {
  const target = impl[method.localName];
  if (typeof target !== "function") {
    const name = `${method.parent.typeName}.${method.localName}`;
    throw new KedgeError("INVALID_OPTION", `services: expected a function for ${name}, got ${typeof target}`);
  }
  const bound = target.bind(impl);
  const kind = method.methodKind;
  switch (kind) {
    case "unary":
      return unaryHandler(method, bound, host);
    case "client_streaming":
      return clientStreamHandler(method, bound, host);
    case "server_streaming":
      return serverStreamHandler(method, bound, host);
    case "bidi_streaming":
      return bidiHandler(method, bound, host);
    default:
      return kind satisfies never;
  }
}

function unaryHandler(method: DescMethod, target: Single, host: CallHost): UntypedHandleCall {
  return (call: ServerUnaryCall<Message, Message>, respond: sendUnaryData<Message>) =>
    serveCall(host, {
      call,
      method,
      work: async (context) => create(method.output, await target(call.request, context)),
      settle: (status, reply) => (status === null ? respond(null, reply) : respond(status)),
    });
}

function clientStreamHandler(method: DescMethod, target: Single, host: CallHost): UntypedHandleCall {
  return (call: ServerReadableStream<Message, Message>, respond: sendUnaryData<Message>) =>
    serveCall(host, {
      call,
      method,
      work: async (context) => create(method.output, await target(received(call, context), context)),
      settle: (status, reply) => (status === null ? respond(null, reply) : respond(status)),
    });
}

function serverStreamHandler(method: DescMethod, target: Streaming, host: CallHost): UntypedHandleCall {
  return (call: ServerWritableStream<Message, Message>) =>
    serveCall(host, {
      call,
      method,
      work: (context) => send(call, method, target(call.request, context), context),
      settle: (status) => (status === null ? call.end() : call.emit("error", status)),
    });
}

function bidiHandler(method: DescMethod, target: Streaming, host: CallHost): UntypedHandleCall {
  return (call: ServerDuplexStream<Message, Message>) =>
    serveCall(host, {
      call,
      method,
      work: (context) => send(call, method, target(received(call, context), context), context),
      settle: (status) => (status === null ? call.end() : call.emit("error", status)),
    });
}

/**
 * The client's messages; throws CANCELLED when the client goes away before it has sent its last one, so that half an
 * upload is never taken for a whole one. Leaving the loop early keeps the call open, so that the handler can still answer.
 */
async function* received(
  call: ServerReadableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  context: ServerContext,
): AsyncGenerator<Message> {
  try {
    yield* call.iterator({ destroyOnReturn: false });
  } catch (cause) {
    throw new KedgeError("CANCELLED", CLIENT_LEFT, { cause });
  }
  // A Node client that cancels sends the end of its stream and then the reset, both in one write; so a turn of the
  // event loop tells the two apart. Being asked for headers makes grpc-js look whether the stream is still there.
  await nextTurn();
  call.sendMetadata(new Metadata());
  await nextTurn();
  if (context.over) throw new KedgeError("CANCELLED", CLIENT_LEFT);
}

async function send(
  call: ServerWritableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  method: DescMethod,
  replies: AsyncIterable<Init>,
  context: ServerContext,
): Promise<undefined> {
  await pump({
    source: replies,
    sink: call,
    encode: (reply) => create(method.output, reply),
    isOver: () => context.over,
    onOver: (callback) => context.signal.addEventListener("abort", callback, { once: true }),
  });
}
