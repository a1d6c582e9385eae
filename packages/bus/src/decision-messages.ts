import { toBinary } from "@bufbuild/protobuf";
import { type LocalDecision, LocalDecisionSchema } from "@kedge/proto";
import type { Bus } from "./bus.ts";
import { consumeDurably } from "./durable-consumer.ts";
import { decodeOwn } from "./node-messages.ts";
import { publishOnce } from "./publish.ts";
import { ALL_NODES, STREAMS, subjects } from "./subjects.ts";

/** Who reads what nodes decided alone. */
export interface DecisionConsumer {
  /** Name under which the position is kept; one reader at a time. */
  readonly durable: string;
  /** Takes a batch, in stream order. A failure is logged and the same batch comes again, after a pause. */
  readonly onDecisions: (decisions: LocalDecision[]) => Promise<void>;
}

/**
 * Stores what a node decided while it was cut off; resolves when it is on disk. It may be told again: merging takes each
 * once.
 *
 * @throws KedgeError BUS_UNAVAILABLE (it may have been stored all the same), TOO_LARGE.
 */
export async function publishDecision(bus: Bus, decision: LocalDecision): Promise<void> {
  await publishOnce(bus, subjects.decisions(decision.nodeId), toBinary(LocalDecisionSchema, decision));
}

/**
 * Hands decisions of all nodes to a handler, at least once each, as `consumeTaskEvents` does events. Those of which the
 * sender is not the node they speak of are dropped.
 */
export async function consumeDecisions(bus: Bus, consumer: DecisionConsumer, signal: AbortSignal): Promise<void> {
  const { durable, onDecisions: onBatch } = consumer;
  const source = { stream: STREAMS.decisions, filter: ALL_NODES.decisions, durable, what: "decisions" };
  const check = {
    schema: LocalDecisionSchema,
    isOwn: (decision: LocalDecision, sender: { readonly nodeId: string }) => decision.nodeId === sender.nodeId,
  };
  const accept = (message: { readonly subject: string; readonly data: Uint8Array }): LocalDecision | undefined => {
    const decision = decodeOwn(message, check);
    if (decision === undefined)
      bus.logger.warn({ subject: message.subject }, "dropped a decision that is not the sender's own");
    return decision;
  };
  await consumeDurably(bus, { ...source, onBatch, accept }, signal);
}
