import { KedgeError } from "@kedge/domain";
import type { TaskEvent } from "@kedge/proto";

interface Entry {
  readonly event: TaskEvent;
  readonly settle: () => void;
  readonly giveUp: (error: Error) => void;
}

/**
 * Task events that have arrived and are not yet part of their run's document. Whoever put them in waits until they
 * are, so that they are acknowledged to the stream only then.
 */
export class TaskInbox {
  readonly #byRun = new Map<string, Entry[]>();

  /**
   * Adds an event; resolves once a run document that includes it is stored, or it is known to be pointless.
   *
   * @throws KedgeError CANCELLED when the inbox is cleared before that.
   */
  put(runId: string, event: TaskEvent): Promise<void> {
    return new Promise((resolve, reject) => {
      const entries = this.#byRun.get(runId) ?? [];
      entries.push({ event, settle: resolve, giveUp: reject });
      this.#byRun.set(runId, entries);
    });
  }

  /** The events waiting for a run, in order of arrival; they stay until settled. */
  peek(runId: string): readonly TaskEvent[] {
    return (this.#byRun.get(runId) ?? []).map((entry) => entry.event);
  }

  /** Gives all events up; unacknowledged, they come again to whoever reads next. */
  clear(): void {
    const waiting = [...this.#byRun.values()].flat();
    this.#byRun.clear();
    for (const entry of waiting)
      entry.giveUp(new KedgeError("CANCELLED", "the controller no longer takes task events"));
  }

  /** Ends the wait of the first `count` events of a run. */
  settle(runId: string, count: number): void {
    const entries = this.#byRun.get(runId) ?? [];
    for (const entry of entries.splice(0, count)) entry.settle();
    if (entries.length === 0) this.#byRun.delete(runId);
  }
}
