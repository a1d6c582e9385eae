/** Runs that wait for room, oldest first. Room that comes free wakes a few of them, not all. */
export class PendingRuns {
  readonly #waiting = new Set<string>();
  readonly #wake: (runId: string) => void;

  constructor(wake: (runId: string) => void) {
    this.#wake = wake;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Notes whether a run has jobs that wait for room. A run that waits no longer found room, so the next may too. */
  note(runId: string, isWaiting: boolean): void {
    if (isWaiting) this.#waiting.add(runId);
    else if (this.#waiting.delete(runId)) this.wakeSome(1);
  }

  /** Has the oldest `count` runs looked at again. */
  wakeSome(count: number): void {
    for (const runId of this.#waiting) {
      if (count-- <= 0) return;
      this.#wake(runId);
    }
  }
}
