import { AckPolicy, DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { pullBatches } from "./pull-batches.ts";

/** Who reads stored messages of nodes, and what for. */
export interface DurableConsumer<T> {
  readonly stream: string;
  readonly filter: string;
  /** Name under which the position is kept; one reader at a time. */
  readonly durable: string;
  /** What is read, for the log. */
  readonly what: string;
  /** Decodes a message; undefined for one that is to be dropped. */
  readonly accept: (message: JsMsg) => T | undefined;
  /** Takes a batch, in stream order. A failure is logged and the same batch comes again, after a pause. */
  readonly onBatch: (values: T[]) => Promise<void>;
}

const ACK_WAIT_MS = 10_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

/**
 * Hands a stream's messages to a handler, at least once each; resolves when the signal aborts. Messages are acknowledged
 * after the handler resolves. What a reader that died had not acknowledged comes again within ten seconds, then possibly
 * behind newer ones.
 */
export async function consumeDurably<T>(bus: Bus, consumer: DurableConsumer<T>, signal: AbortSignal): Promise<void> {
  const { stream, durable, filter, accept } = consumer;
  const config = {
    durable_name: durable,
    filter_subject: filter,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: ACK_WAIT_MS * 1e6,
    max_ack_pending: 2_048,
  };
  for await (const batch of pullBatches(bus, { stream, durable, config }, signal)) {
    const values = batch.flatMap((message) => accept(message) ?? []);
    if (values.length > 0 && !(await handle(bus, { consumer, values, batch }, signal))) return;
    for (const message of batch) message.ack();
  }
}

interface Work<T> {
  readonly consumer: DurableConsumer<T>;
  readonly values: T[];
  readonly batch: readonly JsMsg[];
}

/** Retries until the handler is content; false when the signal aborted first. */
async function handle<T>(bus: Bus, { consumer, values, batch }: Work<T>, signal: AbortSignal): Promise<boolean> {
  const stopKeepAlive = startKeepAlive(bus, batch);
  try {
    for (let delay = RETRY_MIN_MS; !signal.aborted; delay = Math.min(RETRY_MAX_MS, delay * 2)) {
      try {
        await consumer.onBatch(values);
        return true;
      } catch (err) {
        // Giving up at the end is how a handler ends; what it did not take comes again.
        if (signal.aborted) return false;
        const { what } = consumer;
        bus.logger.error({ err, what, messages: values.length }, "handling messages failed, trying again");
      }
      await bus.clock.sleep(delay, signal).catch(() => {});
    }
    return false;
  } finally {
    stopKeepAlive();
  }
}

/** Tells the server every few seconds that the batch is still being worked on; the result ends that. */
function startKeepAlive(bus: Bus, batch: readonly JsMsg[]): () => void {
  let cancel = (): void => {};
  const schedule = (): void => {
    cancel = bus.clock.after(ACK_WAIT_MS / 3, () => {
      for (const message of batch) message.working();
      schedule();
    });
  };
  schedule();
  return () => cancel();
}
