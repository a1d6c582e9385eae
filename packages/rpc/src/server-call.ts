import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Metadata } from "@grpc/grpc-js";
import type { ServerSurfaceCall } from "@grpc/grpc-js/build/src/server-call.js";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { type FailedStatus, statusOf } from "./error-status.ts";
import { ServerContext } from "./server-context.ts";
import type { RpcServerOptions } from "./server-options.ts";

/** What every call of a server shares. */
export interface CallHost
  extends Pick<Required<RpcServerOptions>, "authenticate" | "logger" | "clock" | "onCall" | "defaultDeadlineMs"> {
  /** Streams in progress, for the server's stop. */
  readonly streams: Set<ServerContext>;
}

/** One call of a method. */
export interface CallTask {
  readonly call: ServerSurfaceCall;
  readonly method: DescMethod;
  readonly work: (context: ServerContext) => Promise<Message | undefined>;
  /** Sends the outcome. Called at most once. */
  readonly settle: (status: FailedStatus | null, reply?: Message) => void;
}

/** Authenticates a call, runs its handler, sends the outcome and records it. Never rejects. */
export async function serveCall(host: CallHost, task: CallTask): Promise<void> {
  const { call, method } = task;
  const name = { service: method.parent.typeName, method: method.localName };
  const started = host.clock.monotonic();
  const end = (failure: FailedStatus | null, reply?: Message): void => {
    task.settle(failure, reply);
    host.onCall({ ...name, code: failure?.code ?? 0, ms: host.clock.monotonic() - started });
  };
  let context: ServerContext | undefined;
  let release: () => void = () => {};
  try {
    const answer = host.authenticate(bearerToken(call.metadata), name);
    const principal = answer instanceof Promise ? await answer : answer;
    const deadlineMs = deadlineOf(host, task);
    context = new ServerContext({ call, principal, deadlineMs, onEarlyEnd: (reason) => end(statusOf(reason)) });
    release = watch(host, task, context);
    const reply = await task.work(context);
    if (context.finish()) end(null, reply);
  } catch (error) {
    if (context === undefined || context.finish()) {
      if (!isKedgeError(error)) host.logger.error({ err: error, ...name }, "handler failed");
      end(statusOf(error));
    }
  } finally {
    release();
  }
}

/** Cuts the context when the client goes away or time is up; the result stops watching. */
function watch(host: CallHost, { call, method }: CallTask, context: ServerContext): () => void {
  const onCancelled = (): void => {
    const late = context.deadlineMs !== undefined && host.clock.now() >= context.deadlineMs;
    context.cut(late ? timeout() : new KedgeError("CANCELLED", "the client cancelled the call"));
  };
  if (call.cancelled) onCancelled();
  call.on("cancelled", onCancelled);
  // grpc-js itself ends calls whose deadline the client set.
  const ownDeadline = context.deadlineMs !== undefined && !Number.isFinite(Number(call.getDeadline()));
  const stopTimer = ownDeadline ? host.clock.after(host.defaultDeadlineMs, () => context.cut(timeout())) : undefined;
  const isStream = method.methodKind !== "unary";
  if (isStream) host.streams.add(context);
  return () => {
    stopTimer?.();
    if (isStream) host.streams.delete(context);
  };
}

function timeout(): KedgeError {
  return new KedgeError("TIMEOUT", "the call did not end before its deadline");
}

function deadlineOf(host: CallHost, { call, method }: CallTask): number | undefined {
  const deadline = Number(call.getDeadline());
  if (Number.isFinite(deadline)) return deadline;
  return method.methodKind === "unary" ? host.clock.now() + host.defaultDeadlineMs : undefined;
}

/** What follows "Bearer " in the only authorization header; two of them are none. */
function bearerToken(metadata: Metadata): string | undefined {
  const values = metadata.get("authorization");
  const value = values.length === 1 ? values[0] : undefined;
  if (typeof value !== "string" || value.slice(0, 7).toLowerCase() !== "bearer ") return undefined;
  return value.slice(7).trim() || undefined;
}
