import { KedgeError } from "@kedge/domain";
import { secureBytes } from "@kedge/kernel";
import { JetStreamApiError, type PubAck } from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { busError } from "./nats-error.ts";
import { whileConnected } from "./while-connected.ts";

/** How a message is published. */
export interface PublishOptions {
  /** Identifies the message within two minutes. Default: random, so that nobody can guess it and pre-empt the message. */
  readonly messageId?: string;
  /** Default 3. */
  readonly attempts?: number;
}

/** Largest payload of one message. */
export const MAX_MESSAGE_BYTES = 1_000_000;

const TIMEOUT_MS = 5_000;

/**
 * Stores a message and resolves with the server's acknowledgement. An attempt whose answer is lost is repeated under
 * the same id, so the message is stored once.
 */
export async function publishOnce(
  bus: Bus,
  subject: string,
  bytes: Uint8Array,
  options: PublishOptions = {},
): Promise<PubAck> {
  if (bytes.byteLength > MAX_MESSAGE_BYTES) {
    throw new KedgeError("TOO_LARGE", `${subject}: ${bytes.byteLength} bytes, ${MAX_MESSAGE_BYTES} are allowed`);
  }
  const msgID = options.messageId ?? Buffer.from(secureBytes(16)).toString("base64url");
  for (let attempt = 1; ; attempt++) {
    try {
      return await whileConnected(bus, () => bus.jetstream.publish(subject, bytes, { msgID, timeout: TIMEOUT_MS }));
    } catch (error) {
      const isRetryable = !(error instanceof JetStreamApiError);
      const isLast = attempt >= (options.attempts ?? 3) || bus.connection.isClosed();
      if (!isRetryable || isLast) throw busError(error, `publishing on ${subject}`);
    }
  }
}
