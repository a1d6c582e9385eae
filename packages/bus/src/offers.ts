import { type TaskOffer, TaskOfferSchema } from "@kedge/proto";
import type { JsMsg } from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { pullBatches } from "./pull-batches.ts";
import { verifySignedBytes } from "./signing.ts";
import { offersConsumer, STREAMS } from "./subjects.ts";

/** Whose offers are pulled. */
export interface PullOffersOptions {
  readonly nodeId: string;
  /** Public nkey of the controller, from enrolment. */
  readonly controllerKey: string;
}

/** A verified offer, to be answered within ten seconds, or it is handed out again. */
export interface PulledOffer {
  readonly offer: TaskOffer;
  /** Removes the offer; resolves when the server has. Call after the claim was decided, either way. */
  ack(): Promise<void>;
  /** Asks for the offer again, after a while. */
  nak(delayMs?: number): void;
  /** Removes the offer without waiting; for one that can never be carried out. */
  term(): void;
}

/**
 * The node's offers, for ever; ends when the signal aborts. Offers that the controller did not sign for this node are
 * removed and logged.
 */
export async function* pullOffers(
  bus: Bus,
  options: PullOffersOptions,
  signal: AbortSignal,
): AsyncGenerator<PulledOffer> {
  const pull = { stream: STREAMS.offers, durable: offersConsumer(options.nodeId), batch: 16 };
  for await (const batch of pullBatches(bus, pull, signal)) {
    for (const message of batch) {
      const pulled = opened(bus, message, options);
      if (pulled !== undefined) yield pulled;
    }
  }
}

function opened(bus: Bus, message: JsMsg, { nodeId, controllerKey }: PullOffersOptions): PulledOffer | undefined {
  try {
    const offer = verifySignedBytes(TaskOfferSchema, message.data, { key: controllerKey, audience: nodeId });
    if (offer.ref?.nodeId !== nodeId) throw new TypeError("the offer is for another node");
    return {
      offer,
      ack: async () => {
        // Lost acknowledgements only mean that the offer comes again, and that its claim is decided already.
        await message.ackAck({ timeout: 2_000 }).catch(() => message.ack());
      },
      nak: (delayMs) => message.nak(delayMs),
      term: () => message.term(),
    };
  } catch (err) {
    bus.logger.warn(
      { err, nodeId, sequence: message.seq },
      "dropped an offer that is not the controller's for this node",
    );
    message.term();
    return undefined;
  }
}
