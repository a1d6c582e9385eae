import type { Clock, Logger } from "@kedge/kernel";
import { jitter } from "@kedge/kernel";

const MIN_MS = 50;
const MAX_MS = 2000;

/**
 * Repeats something that must happen until it does, or until the signal aborts. The work must be harmless to repeat.
 *
 * @returns whether it was done.
 */
export async function untilDone(
  work: () => Promise<unknown>,
  options: { clock: Clock; logger: Logger; signal: AbortSignal; what: string },
): Promise<boolean> {
  const { clock, logger, signal, what } = options;
  for (let delayMs = MIN_MS; !signal.aborted; delayMs = Math.min(MAX_MS, delayMs * 2)) {
    try {
      await work();
      return true;
    } catch (error) {
      logger.debug({ err: error, what, delayMs }, "not published, trying again");
      await clock.sleep(delayMs * (0.5 + jitter() / 2), signal).catch(() => {}); // The loop's test sees the abort.
    }
  }
  return false;
}
