/** Most runs that one release of room wakes: the oldest of as many different demands. */
const MAX_WOKEN = 16;

/**
 * Runs that wait for room, by what they demand. Room that comes free wakes the run that waits longest for each demand;
 * once that one found room, the next with the same demand. So a release costs no more for thousands of waiting runs
 * than for a few, and a demand that does not fit holds up no other.
 */
export class PendingRuns {
  /** Waiting runs by demand, the one that waits longest first. */
  readonly #byDemand = new Map<string, Set<string>>();
  readonly #demands = new Map<string, ReadonlySet<string>>();
  readonly #wake: (runId: string) => void;

  constructor(wake: (runId: string) => void) {
    this.#wake = wake;
  }

  /** Runs that wait. */
  get size(): number {
    return this.#demands.size;
  }

  /** Notes the demands for which a run waits now. Where it waits no longer it found room, so the next may too. */
  note(runId: string, demands: ReadonlySet<string>): void {
    const before = this.#demands.get(runId) ?? new Set();
    if (demands.size > 0) this.#demands.set(runId, demands);
    else this.#demands.delete(runId);
    for (const demand of demands) this.#byDemand.set(demand, (this.#byDemand.get(demand) ?? new Set()).add(runId));
    for (const demand of before) if (!demands.has(demand)) this.#leave(runId, demand);
  }

  /** Has the run that waits longest for each demand looked at again; to be called when room comes free. */
  wakeFirst(): void {
    const first = new Set([...this.#byDemand.values()].map(longestWaiting));
    // Ids begin with the time of submission.
    for (const runId of [...first].toSorted().slice(0, MAX_WOKEN)) this.#wake(runId);
  }

  /** Has every run looked at again; to be called when nodes come or go, which changes what is possible at all. */
  wakeAll(): void {
    for (const runId of this.#demands.keys()) this.#wake(runId);
  }

  #leave(runId: string, demand: string): void {
    const runs = this.#byDemand.get(demand);
    runs?.delete(runId);
    if (runs === undefined || runs.size === 0) this.#byDemand.delete(demand);
    else this.#wake(longestWaiting(runs));
  }
}

function longestWaiting(runs: ReadonlySet<string>): string {
  const [first = ""] = runs;
  return first;
}
