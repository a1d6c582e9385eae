/**
 * Turns change notifications into an iterable that yields once at the start and once after each burst of changes,
 * until the signal aborts. Reading slowly merges changes; nothing is queued.
 */
export async function* changes(
  subscribe: (notify: () => void) => () => void,
  signal: AbortSignal,
): AsyncGenerator<void, void, undefined> {
  let changed = true;
  let wake: (() => void) | undefined;
  const notify = () => {
    changed = true;
    wake?.();
  };
  const unsubscribe = subscribe(notify);
  const onAbort = () => wake?.();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (!signal.aborted) {
      if (changed) {
        changed = false;
        yield;
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  } finally {
    unsubscribe();
    signal.removeEventListener("abort", onAbort);
  }
}
