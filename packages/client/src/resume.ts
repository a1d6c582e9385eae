import { isKedgeError } from "@kedge/domain";
import { type Clock, jitter } from "@kedge/kernel";

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 5_000;
/** Longer than a controller takes to start anew. */
const CALL_ATTEMPTS = 8;

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
      if (!isAway(error)) throw error;
    }
    await pause(delayMs, options);
    delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
  }
}

/**
 * A call that is made again, a few times, while the server is away; for calls that change nothing when they come twice, as
 * those with an idempotency key.
 *
 * @throws KedgeError the last one, and at once what a retry does not help.
 */
export async function retried<T>(call: () => Promise<T>, options: ResumeOptions): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!isAway(error) || attempt === CALL_ATTEMPTS) throw error;
    }
    await pause(Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), MAX_DELAY_MS), options);
  }
}

function isAway(error: unknown): boolean {
  return isKedgeError(error) && error.code === "UNAVAILABLE";
}

/** Not all clients of a controller come back at once. */
function pause(delayMs: number, { clock, signal }: ResumeOptions): Promise<void> {
  return clock.sleep(delayMs * (0.5 + jitter() / 2), signal);
}
