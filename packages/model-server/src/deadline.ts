import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";

/** A limit on how long work may take. */
export interface DeadlineOptions {
  readonly clock: Clock;
  readonly limitMs: number;
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal;
}

/**
 * Runs work with a signal that aborts when the time is over or the caller is gone, and then rejects without waiting for
 * the work: a handler that ignores its signal cannot hold the request.
 *
 * @throws KedgeError TIMEOUT or CANCELLED.
 */
export async function withDeadline<T>(options: DeadlineOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onGone = () => controller.abort(new KedgeError("CANCELLED", "the client closed the connection"));
  if (options.signal.aborted) onGone();
  options.signal.addEventListener("abort", onGone, { once: true });
  const stopTimer = options.clock.after(options.limitMs, () =>
    controller.abort(new KedgeError("TIMEOUT", `the request took longer than ${options.limitMs} ms`)),
  );
  const { promise: over, reject } = Promise.withResolvers<never>();
  controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
  try {
    controller.signal.throwIfAborted();
    return await Promise.race([work(controller.signal), over]);
  } finally {
    stopTimer();
    options.signal.removeEventListener("abort", onGone);
  }
}
