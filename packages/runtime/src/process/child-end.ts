import type { ChildProcess } from "node:child_process";
import type { Clock } from "@kedge/kernel";

/** Wakes its reader when a child of ours has ended, and at intervals; like `FolderChanges`, without a file watch. */
export class ChildEnd implements Disposable {
  readonly #child: ChildProcess;
  readonly #clock: Clock;

  constructor(child: ChildProcess, clock: Clock) {
    this.#child = child;
    this.#clock = clock;
  }

  /** Resolves at the end of the child, after `maxMs` at most. Rejects when the signal aborts. */
  async next(maxMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#child.off("exit", done);
        signal?.removeEventListener("abort", done);
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(maxMs, done);
      this.#child.once("exit", done);
      signal?.addEventListener("abort", done, { once: true });
    });
    signal?.throwIfAborted();
  }

  [Symbol.dispose](): void {
    // Every listener went with its wait.
  }
}
