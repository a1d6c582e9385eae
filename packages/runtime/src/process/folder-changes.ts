import { type FSWatcher, watch } from "node:fs";
import type { Clock } from "@kedge/kernel";

/** Wakes its reader when something in a folder changes (inotify). Close it. */
export class FolderChanges implements Disposable {
  readonly #clock: Clock;
  readonly #watcher: FSWatcher | undefined;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(folder: string, clock: Clock) {
    this.#clock = clock;
    this.#watcher = this.#watch(folder);
  }

  /** Resolves at a change since the last call, after `maxMs` at most. Rejects when the signal aborts. */
  async next(maxMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#changed) await this.#wait(maxMs, signal);
    this.#changed = false;
    signal?.throwIfAborted();
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#wake?.();
  }

  #wait(maxMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wake = undefined;
        signal?.removeEventListener("abort", done);
        stopSleep.abort();
        resolve();
      };
      const stopSleep = new AbortController();
      this.#wake = done;
      signal?.addEventListener("abort", done, { once: true });
      this.#clock.sleep(maxMs, stopSleep.signal).then(done, () => {});
    });
  }

  #watch(folder: string): FSWatcher | undefined {
    try {
      const watcher = watch(folder, () => this.#touch());
      // The folder was removed, or the user's inotify instances ran out: `maxMs` still bounds every wait.
      watcher.on("error", () => watcher.close());
      return watcher;
    } catch {
      return undefined; // as above
    }
  }

  #touch(): void {
    this.#changed = true;
    this.#wake?.();
  }
}
