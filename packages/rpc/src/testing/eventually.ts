import { setTimeout as delay } from "node:timers/promises";

/** Polls until `observe` gives a value that passes; on time-out the error shows the last value seen. */
export async function eventually<T>(observe: () => T, passes: (value: T) => boolean, timeoutMs = 10_000): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = observe();
    if (passes(value)) return value;
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms; last seen: ${JSON.stringify(value)}`);
    await delay(5);
  }
}
