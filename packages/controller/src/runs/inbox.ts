import type { TaskEvent } from "@kedge/proto";

interface Entry {
  readonly event: TaskEvent;
  readonly settle: () => void;
}

/**
 * Task events that have arrived and are not yet part of their run's document. Whoever put them in waits until they
 * are, so that they are acknowledged to the stream only then.
 */
export class TaskInbox {
  readonly #byRun = new Map<string, Entry[]>();

  /** Adds an event; resolves once a run document that includes it is stored, or it is known to be pointless. */
  put(runId: string, event: TaskEvent): Promise<void> {
    return new Promise((resolve) => {
      const entries = this.#byRun.get(runId) ?? [];
      entries.push({ event, settle: resolve });
      this.#byRun.set(runId, entries);
    });
  }

  /** The events waiting for a run, in order of arrival; they stay until settled. */
  peek(runId: string): readonly TaskEvent[] {
    return (this.#byRun.get(runId) ?? []).map((entry) => entry.event);
  }

  /** Ends the wait of the first `count` events of a run. */
  settle(runId: string, count: number): void {
    const entries = this.#byRun.get(runId) ?? [];
    for (const entry of entries.splice(0, count)) entry.settle();
    if (entries.length === 0) this.#byRun.delete(runId);
  }
}
