import type { TaskEvent } from "@kedge/proto";
import { AckPolicy, DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { pullBatches } from "./pull-batches.ts";
import { ALL_NODES, parseNodeSubject, STREAMS } from "./subjects.ts";
import { decodeTaskEvent } from "./task-messages.ts";

/** Who reads task events, and what for. */
export interface TaskEventConsumer {
  /** Name under which the position is kept; one reader at a time. */
  readonly durable: string;
  /** Takes a batch, in stream order. A failure is logged and the same batch comes again, after a pause. */
  readonly onEvents: (events: TaskEvent[]) => Promise<void>;
}

const ACK_WAIT_MS = 10_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

/**
 * Hands task events of all nodes to a handler, at least once each; resolves when the signal aborts. Events are
 * acknowledged after the handler resolves. What a reader that died had not acknowledged comes again within ten seconds,
 * then possibly behind newer events. Events that do not decode, or whose subject is not that of the node and task they
 * speak of, are dropped.
 */
export async function consumeTaskEvents(bus: Bus, consumer: TaskEventConsumer, signal: AbortSignal): Promise<void> {
  const config = {
    durable_name: consumer.durable,
    filter_subject: ALL_NODES.taskEvents,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: ACK_WAIT_MS * 1e6,
    max_ack_pending: 2_048,
  };
  for await (const batch of pullBatches(bus, { stream: STREAMS.tasks, durable: consumer.durable, config }, signal)) {
    const events = batch.flatMap((message) => acceptedEvent(bus, message) ?? []);
    if (events.length > 0 && !(await handle(bus, { consumer, events, batch }, signal))) return;
    for (const message of batch) message.ack();
  }
}

interface Work {
  readonly consumer: TaskEventConsumer;
  readonly events: TaskEvent[];
  readonly batch: readonly JsMsg[];
}

/** Retries until the handler is content; false when the signal aborted first. */
async function handle(bus: Bus, { consumer, events, batch }: Work, signal: AbortSignal): Promise<boolean> {
  const stopKeepAlive = startKeepAlive(bus, batch);
  try {
    for (let delay = RETRY_MIN_MS; !signal.aborted; delay = Math.min(RETRY_MAX_MS, delay * 2)) {
      try {
        await consumer.onEvents(events);
        return true;
      } catch (err) {
        // Giving up at the end is how a handler ends; what it did not take comes again.
        if (signal.aborted) return false;
        bus.logger.error({ err, events: events.length }, "handling task events failed, trying again");
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

function acceptedEvent(bus: Bus, message: JsMsg): TaskEvent | undefined {
  const sender = parseNodeSubject(message.subject);
  const event = decodeTaskEvent(message.data);
  const isHonest =
    event?.ref !== undefined &&
    event.event.case !== undefined &&
    sender?.nodeId === event.ref.nodeId &&
    sender.rest[0] === event.ref.taskId;
  if (isHonest) return event;
  bus.logger.warn(
    { nodeId: sender?.nodeId, subject: message.subject },
    "dropped a task event that is not the sender's own",
  );
  return undefined;
}
