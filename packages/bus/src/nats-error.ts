import { errorMessage, isKedgeError, KedgeError } from "@kedge/domain";
import { JetStreamApiError } from "@nats-io/jetstream";

/** JetStream's "wrong last sequence". */
const WRONG_LAST_SEQUENCE = 10071;
const STREAM_NOT_FOUND = 10059;
/** "no message found": of a sequence that is deleted, or was never there. */
const MESSAGE_NOT_FOUND = [10037, 10043];
const MESSAGE_TOO_LARGE = 10054;

/** Tells whether a publish lost its compare-and-set. */
export function isLostRace(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;
}

/** Tells whether a stored message is gone. */
export function isMissingMessage(error: unknown): boolean {
  return error instanceof JetStreamApiError && MESSAGE_NOT_FOUND.includes(error.code);
}

/** Maps what the NATS client throws to a KedgeError; `doing` names the action for the message. */
export function busError(error: unknown, doing: string): KedgeError {
  if (isKedgeError(error)) return error;
  const message = `${doing}: ${errorMessage(error)}`;
  if (isLostRace(error)) return new KedgeError("CONFLICT", message, { cause: error });
  if (error instanceof JetStreamApiError && error.code === MESSAGE_TOO_LARGE) {
    return new KedgeError("TOO_LARGE", message, { cause: error });
  }
  if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) {
    const hint = "The store is not provisioned yet, or its data were removed.";
    return new KedgeError("BUS_UNAVAILABLE", message, { cause: error, hint });
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    return new KedgeError("CANCELLED", message, { cause: error });
  }
  return new KedgeError("BUS_UNAVAILABLE", message, { cause: error });
}
