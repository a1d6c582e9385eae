/** What HAProxy has counted of the requests of one kind: those that it began, and those of them that it works on. */
export interface TrackedRequests {
  readonly begun: number;
  readonly underWay: number;
}

/** Requests that ended without a log line, by their key. */
export type SilentRequests = ReadonlyMap<string, number>;

interface Known {
  readonly begun: number;
  /** Requests without a line that are accounted for. */
  readonly settled: number;
}

/**
 * Finds the requests that HAProxy ended without a log line: it counts each as it begins, and what has begun, is not under
 * way and has no line was answered by nobody. Every doubt is decided so that nothing is found that did not happen.
 */
export class SilentFailures {
  readonly #lines = new Map<string, number>();
  readonly #known = new Map<string, Known>();
  #missing = 0;
  #missingBefore = 0;
  #isAnew = true;
  /** Lines that had come when HAProxy was asked to count, if nothing is settled yet. */
  #before: ReadonlyMap<string, number> | undefined;

  /** Counts a request's log line. */
  line(key: string): void {
    this.#lines.set(key, (this.#lines.get(key) ?? 0) + 1);
  }

  /** The next counts are of another HAProxy, or lines before them were read by somebody else. */
  beginAnew(): void {
    this.#isAnew = true;
    this.#before = undefined;
  }

  /** To be called before HAProxy is asked to count. */
  prepare(): void {
    if (this.#isAnew) this.#before = new Map(this.#lines);
  }

  /**
   * Compares what HAProxy counted with the lines. All lines of requests that had ended when it counted must have been given
   * to `line`, but for `missing`, the number of lines known to be lost.
   */
  find(tracked: ReadonlyMap<string, TrackedRequests>, missing: number): SilentRequests {
    const found = new Map<string, number>();
    if (this.#isDoubtful(missing)) return found;
    const before = this.#isAnew ? this.#before : undefined;
    for (const [key, { begun, underWay }] of tracked) {
      const known = this.#known.get(key);
      const silent = begun - underWay - (this.#lines.get(key) ?? 0);
      // HAProxy forgets a key that was idle for long, and counts it from 0 then.
      const hasRestarted = known !== undefined && begun < known.begun;
      const unsure = before === undefined && !hasRestarted ? undefined : begun - (before?.get(key) ?? 0);
      const settled = unsure ?? known?.settled ?? 0;
      if (silent > settled) found.set(key, silent - settled);
      this.#known.set(key, { begun, settled: Math.max(silent, settled) });
    }
    this.#isAnew = false;
    this.#before = undefined;
    return found;
  }

  /** Forgets the keys that nobody asks for any more. */
  forget(isKept: (key: string) => boolean): void {
    for (const map of [this.#lines, this.#known]) {
      for (const key of map.keys()) if (!isKept(key)) map.delete(key);
    }
  }

  /** Lines that overtook others look lost for a moment. Once they are lost for good, nobody knows whose they were. */
  #isDoubtful(missing: number): boolean {
    if (missing <= this.#missing) return this.#isAnew && this.#before === undefined;
    if (missing === this.#missingBefore) {
      this.#missing = missing;
      this.beginAnew();
    }
    this.#missingBefore = missing;
    return true;
  }
}
