import {
  AckPolicy,
  type Consumer,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  type JsMsg,
} from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { untilConnected, whileConnected } from "./while-connected.ts";

/** What of a stream is read. */
export interface ReadOptions {
  readonly stream: string;
  /** One subject, may hold wildcards. */
  readonly filter: string;
  /**
   * Where to begin: the oldest message, the newest of all, the newest of each subject, only what comes from now on, a
   * place in the stream, or what was stored at a time (milliseconds since 1970) or later.
   */
  readonly from:
    | "all"
    | "last"
    | "last-per-subject"
    | "new"
    | { readonly sequence: number }
    | { readonly sinceMs: number };
  /** False: end after what is stored at the beginning. */
  readonly follow: boolean;
  /** Leave the content of messages out. */
  readonly headersOnly?: boolean;
  /** Messages may be large: far fewer are in memory, the larger the last ones were the fewer. */
  readonly large?: boolean;
}

/** A stored message, or the note that everything stored at the beginning has been read. */
export type Reading = { readonly kind: "message"; readonly message: JsMsg } | { readonly kind: "caught-up" };

const BATCH = 256;
/** Of large messages: from 8 to 64 of them, 4 MiB if they are as large as those before. */
const LARGE_BATCH = { least: 8, most: 64, bytes: 4 * 1024 * 1024 } as const;
const EXPIRES_MS = 20_000;
const RETRY_MS = 250;
const INACTIVE_NS = 60_000_000_000;

/**
 * Reads a stream in order, each message once, at the pace of the caller: at most one batch is in memory. A consumer
 * that is lost, or a connection that was re-made, is made good by a new consumer behind the last message given out.
 * "caught-up" comes exactly once. Ends without an error when the signal aborts.
 */
export async function* readStream(bus: Bus, options: ReadOptions, signal: AbortSignal): AsyncGenerator<Reading> {
  const position: Position = { last: 0, caughtUp: false, batch: options.large ? LARGE_BATCH.least : BATCH };
  while (!signal.aborted && !bus.connection.isClosed()) {
    try {
      yield* readOnce(bus, options, position, signal);
      if (position.caughtUp && !options.follow) return;
    } catch (error) {
      if (signal.aborted || bus.connection.isClosed()) return;
      bus.logger.debug({ err: error, stream: options.stream }, "reading a stream was interrupted, going on");
    }
    await bus.clock.sleep(RETRY_MS, signal).catch(() => {});
  }
}

interface Position {
  /** Stream sequence of the newest message given out. */
  last: number;
  caughtUp: boolean;
  /** How many messages are pulled at once. */
  batch: number;
}

/** Reads with one consumer until it must be replaced. */
async function* readOnce(
  bus: Bus,
  options: ReadOptions,
  position: Position,
  signal: AbortSignal,
): AsyncGenerator<Reading> {
  await untilConnected(bus, signal);
  const epoch = bus.epoch;
  const { info, consumer } = await whileConnected(bus, () => makeConsumer(bus, options, position.last));
  try {
    if (info.num_pending === 0 && !position.caughtUp) {
      position.caughtUp = true;
      yield { kind: "caught-up" };
    }
    let delivered = 0;
    while (!signal.aborted && bus.connected && bus.epoch === epoch && (options.follow || !position.caughtUp)) {
      const before = delivered;
      let bytes = 0;
      for await (const message of fetchBatch(bus, { consumer, size: position.batch }, signal)) {
        // A gap means that messages were lost on the way: begin anew behind the last good one.
        if (bus.epoch !== epoch || message.info.deliverySequence !== ++delivered) return;
        position.last = message.seq;
        bytes += message.data.length;
        yield { kind: "message", message };
        if (message.info.pending > 0 || position.caughtUp) continue;
        position.caughtUp = true;
        yield { kind: "caught-up" };
        if (!options.follow) return;
      }
      if (options.large && delivered > before) position.batch = nextBatch(bytes / (delivered - before));
    }
  } finally {
    bus.manager.consumers.delete(options.stream, info.name).catch(() => {
      // It goes by itself when it is not used for a while.
    });
  }
}

function nextBatch(meanBytes: number): number {
  const { least, most, bytes } = LARGE_BATCH;
  return Math.max(least, Math.min(most, Math.floor(bytes / Math.max(1, meanBytes))));
}

async function makeConsumer(
  bus: Bus,
  options: ReadOptions,
  last: number,
): Promise<{ readonly info: ConsumerInfo; readonly consumer: Consumer }> {
  const info = await bus.manager.consumers.add(options.stream, consumerConfig(options, last));
  return { info, consumer: await bus.jetstream.consumers.get(options.stream, info.name) };
}

/** One pull; ends early when the signal aborts or the connection changes. */
async function* fetchBatch(
  bus: Bus,
  { consumer, size }: { readonly consumer: Consumer; readonly size: number },
  signal: AbortSignal,
): AsyncGenerator<JsMsg> {
  const batch = await consumer.fetch({ max_messages: size, expires: EXPIRES_MS, idle_heartbeat: 5_000 });
  const stop = (): void => batch.stop();
  const unsubscribe = bus.onStatus(stop);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    yield* batch;
  } finally {
    batch.stop();
    unsubscribe();
    signal.removeEventListener("abort", stop);
  }
}

function consumerConfig(options: ReadOptions, last: number): Partial<ConsumerConfig> {
  return {
    ack_policy: AckPolicy.None,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: INACTIVE_NS,
    filter_subject: options.filter,
    headers_only: options.headersOnly ?? false,
    ...startOf(options.from, last),
  };
}

const POLICIES = {
  all: DeliverPolicy.All,
  last: DeliverPolicy.Last,
  "last-per-subject": DeliverPolicy.LastPerSubject,
  new: DeliverPolicy.New,
};

function startOf(
  from: ReadOptions["from"],
  last: number,
): Pick<Partial<ConsumerConfig>, "deliver_policy" | "opt_start_seq" | "opt_start_time"> {
  if (last > 0) return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: last + 1 };
  if (typeof from === "string") return { deliver_policy: POLICIES[from] };
  if ("sequence" in from) return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from.sequence };
  const time = new Date(from.sinceMs).toISOString();
  return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: time };
}
