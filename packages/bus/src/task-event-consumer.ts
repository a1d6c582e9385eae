import type { TaskEvent } from "@kedge/proto";
import type { JsMsg } from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { consumeDurably } from "./durable-consumer.ts";
import { ALL_NODES, parseNodeSubject, STREAMS } from "./subjects.ts";
import { decodeTaskEvent } from "./task-messages.ts";

/** Who reads task events, and what for. */
export interface TaskEventConsumer {
  /** Name under which the position is kept; one reader at a time. */
  readonly durable: string;
  /** Takes a batch, in stream order. A failure is logged and the same batch comes again, after a pause. */
  readonly onEvents: (events: TaskEvent[]) => Promise<void>;
}

/**
 * Hands task events of all nodes to a handler, at least once each; resolves when the signal aborts. Events are
 * acknowledged after the handler resolves. What a reader that died had not acknowledged comes again within ten seconds,
 * then possibly behind newer events. Events that do not decode, or whose subject is not that of the node and task they
 * speak of, are dropped.
 */
export async function consumeTaskEvents(bus: Bus, consumer: TaskEventConsumer, signal: AbortSignal): Promise<void> {
  const { durable, onEvents: onBatch } = consumer;
  const source = { stream: STREAMS.tasks, filter: ALL_NODES.taskEvents, durable, what: "task events" };
  await consumeDurably(bus, { ...source, onBatch, accept: (message) => acceptedEvent(bus, message) }, signal);
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
