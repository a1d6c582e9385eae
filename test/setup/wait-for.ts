import { errorMessage } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";

const POLL_MS = 40;

/** What a probe saw: the value waited for, or what is there instead. */
export type Sight<T> = { readonly value: T } | { readonly instead: unknown };

/**
 * Polls until `probe` answers a value. On time-out fails with what was waited for and what was seen last; a probe that
 * throws counts as not there yet.
 */
export async function waitFor<T>(what: string, probe: () => Promise<Sight<T>>, timeoutMs = 30_000): Promise<T> {
  const deadline = systemClock.monotonic() + timeoutMs;
  for (;;) {
    const sight = await probe().catch((error: unknown): Sight<T> => ({ instead: errorMessage(error) }));
    if ("value" in sight) return sight.value;
    if (systemClock.monotonic() > deadline) {
      throw new Error(`${what}: not so within ${timeoutMs / 1000} s; last seen: ${shown(sight.instead)}`);
    }
    await systemClock.sleep(POLL_MS);
  }
}

/** The same for a plain condition; `seen` is shown on time-out. */
export async function waitUntil(
  what: string,
  probe: () => Promise<{ readonly ok: boolean; readonly seen?: unknown }>,
  timeoutMs?: number,
): Promise<void> {
  const sight = async (): Promise<Sight<true>> => {
    const { ok, seen } = await probe();
    return ok ? { value: true } : { instead: seen };
  };
  await waitFor(what, sight, timeoutMs);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? Number(part) : part), 1);
  return (text ?? "nothing").slice(0, 4000);
}
