import { errorMessage } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";

const TIMEOUT_MS = 20_000;
const POLL_MS = 20;

/** Looks until `isDone` likes what it sees; the failure shows what was seen last. */
export async function eventually<T>(look: () => T | Promise<T>, isDone: (seen: T) => boolean): Promise<T> {
  const deadline = systemClock.monotonic() + TIMEOUT_MS;
  for (;;) {
    let last: string;
    try {
      const seen = await look();
      if (isDone(seen)) return seen;
      last = show(seen);
    } catch (error) {
      last = errorMessage(error);
    }
    if (systemClock.monotonic() > deadline) throw new Error(`it never came; last seen: ${last.slice(0, 3000)}`);
    await systemClock.sleep(POLL_MS);
  }
}

function show(value: unknown): string {
  return JSON.stringify(value, (_key, item) => (typeof item === "bigint" ? String(item) : item));
}
