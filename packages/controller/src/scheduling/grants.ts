/** Room for one attempt, reserved, and not yet in the document of its run. */
export interface Grant {
  readonly job: string;
  readonly taskId: string;
  readonly nodeId: string;
  readonly gpuIndices: readonly number[];
  readonly atMs: number;
}

/**
 * Room on its way from a decision into a run's document. A grant ends when the document has it or makes it void; until
 * then its room stays reserved, also while nobody knows whether a write was stored.
 */
export class Grants {
  readonly #byRun = new Map<string, Map<string, Grant>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The grants of a run by job. */
  of(runId: string): ReadonlyMap<string, Grant> {
    return this.#byRun.get(runId) ?? NONE;
  }

  has(runId: string, taskId: string): boolean {
    for (const grant of this.of(runId).values()) if (grant.taskId === taskId) return true;
    return false;
  }

  add(runId: string, grant: Grant): void {
    const grants = this.#byRun.get(runId) ?? new Map<string, Grant>();
    if (!grants.has(grant.job)) this.#size++;
    this.#byRun.set(runId, grants.set(grant.job, grant));
  }

  remove(runId: string, job: string): void {
    const grants = this.#byRun.get(runId);
    if (!grants?.delete(job)) return;
    this.#size--;
    if (grants.size === 0) this.#byRun.delete(runId);
  }

  /** Runs with grants that were made before a time. */
  runsBefore(atMs: number): string[] {
    const isOld = (grant: Grant): boolean => grant.atMs < atMs;
    return [...this.#byRun].filter(([, grants]) => [...grants.values()].some(isOld)).map(([runId]) => runId);
  }

  clear(): void {
    this.#byRun.clear();
    this.#size = 0;
  }
}

const NONE: ReadonlyMap<string, Grant> = new Map();
