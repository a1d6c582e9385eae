import {
  type Consumer,
  type ConsumerConfig,
  type ConsumerMessages,
  JetStreamApiError,
  type JsMsg,
} from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { untilConnected, whileConnected } from "./while-connected.ts";

/** A durable consumer to pull from. */
export interface PullOptions {
  readonly stream: string;
  readonly durable: string;
  /** Makes the consumer when it is not there; without it, it must have been made by somebody else. */
  readonly config?: Partial<ConsumerConfig>;
  /** Most messages in a batch; default 256. */
  readonly batch?: number;
}

const RETRY_MS = 500;
const EXPIRES_MS = 20_000;
const HEARTBEAT_MS = 5_000;

/**
 * Pulls messages for ever, in batches of whatever has arrived by the time the caller asks again. At most two batches
 * are in memory. A consumer that is missing, or lost with its server, is waited for. Ends when the signal aborts.
 */
export async function* pullBatches(bus: Bus, options: PullOptions, signal: AbortSignal): AsyncGenerator<JsMsg[]> {
  while (!signal.aborted && !bus.connection.isClosed()) {
    try {
      yield* pullOnce(bus, options, signal);
    } catch (error) {
      if (signal.aborted || bus.connection.isClosed()) return;
      const isMissing = error instanceof JetStreamApiError;
      bus.logger[isMissing ? "warn" : "debug"](
        { err: error, consumer: options.durable },
        "pulling was interrupted, going on",
      );
    }
    await bus.clock.sleep(RETRY_MS, signal).catch(() => {});
  }
}

async function* pullOnce(bus: Bus, options: PullOptions, signal: AbortSignal): AsyncGenerator<JsMsg[]> {
  const { stream, durable, config, batch: size = 256 } = options;
  await untilConnected(bus, signal);
  const epoch = bus.epoch;
  const consumer = await whileConnected(bus, async () => {
    if (config !== undefined) await bus.manager.consumers.add(stream, config);
    return await bus.jetstream.consumers.get(stream, durable);
  });
  while (!signal.aborted && bus.connected && bus.epoch === epoch) yield* pullBatch(bus, { consumer, size }, signal);
}

/** One pull request, handed on in as few pieces as it arrives in. */
async function* pullBatch(
  bus: Bus,
  { consumer, size }: { readonly consumer: Consumer; readonly size: number },
  signal: AbortSignal,
): AsyncGenerator<JsMsg[]> {
  const arrived: JsMsg[] = [];
  let wake = (): void => {};
  let isOver = false;
  let failure: unknown;
  const messages = await consumer.fetch({ max_messages: size, expires: EXPIRES_MS, idle_heartbeat: HEARTBEAT_MS });
  const collected = collect(messages, (message) => {
    arrived.push(message);
    wake();
  }).then(
    () => {},
    (error: unknown) => {
      failure = error;
    },
  );
  const ended = collected.then(() => {
    isOver = true;
    wake();
  });
  const stop = (): void => messages.stop();
  const unsubscribe = bus.onStatus(stop);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    while (!isOver || arrived.length > 0) {
      if (arrived.length > 0) yield arrived.splice(0);
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    if (failure !== undefined) throw failure;
  } finally {
    messages.stop();
    unsubscribe();
    signal.removeEventListener("abort", stop);
    await ended;
  }
}

async function collect(messages: ConsumerMessages, take: (message: JsMsg) => void): Promise<void> {
  for await (const message of messages) take(message);
}
