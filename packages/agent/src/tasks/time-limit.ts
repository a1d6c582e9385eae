import type { Clock } from "@kedge/kernel";
import { StepFailure } from "../steps/step-failure.ts";

/** Longest delay that a timer can be set to. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * A signal that aborts with a TIMEOUT some seconds after a wall time, also when an earlier process began to count.
 *
 * @param seconds 0: never.
 */
export function timeLimit(
  clock: Clock,
  startedAtMs: number,
  seconds: number,
  message: string,
): { signal: AbortSignal; cancel: () => void } {
  const controller = new AbortController();
  if (seconds === 0) return { signal: controller.signal, cancel: () => {} };
  const restMs = Math.min(Math.max(0, startedAtMs + seconds * 1000 - clock.now()), MAX_DELAY_MS);
  const cancel = clock.after(restMs, () => controller.abort(new StepFailure("TIMEOUT", message)));
  return { signal: controller.signal, cancel };
}
