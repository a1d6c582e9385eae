import { isKedgeError } from "@kedge/domain";
import { type Clock, jitter } from "@kedge/kernel";

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 5_000;

/** How a watch goes on after the connection broke. */
export interface ResumeOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
}

/**
 * A stream that is opened again when the server goes away, with growing pauses; a message resets them. It gives up on
 * errors that a retry does not help, and on the signal. The caller deals with messages that come twice.
 */
export async function* resumed<T>(open: () => AsyncIterable<T>, options: ResumeOptions): AsyncGenerator<T> {
  let delayMs = FIRST_DELAY_MS;
  for (;;) {
    try {
      for await (const message of open()) {
        delayMs = FIRST_DELAY_MS;
        yield message;
      }
      return;
    } catch (error) {
      if (!isKedgeError(error) || error.code !== "UNAVAILABLE") throw error;
    }
    await options.clock.sleep(delayMs * (0.5 + jitter() / 2), options.signal);
    delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
  }
}
