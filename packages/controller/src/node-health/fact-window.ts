import type { NodeTrial } from "@kedge/analysis";

/** Facts are dropped when they are this old. */
export const WINDOW_MS = 15 * 60_000;
const BUCKET_MS = 30_000;

interface Bucket {
  readonly startMs: number;
  exposure: number;
  failures: number;
}

/** How much a workload did on one node within the last quarter of an hour, and how much of it failed. */
export class FactWindow {
  /** The oldest first. */
  #buckets: Bucket[] = [];

  /** Adds what happened at a time. */
  add(atMs: number, { exposure, failures }: NodeTrial): void {
    const startMs = Math.floor(atMs / BUCKET_MS) * BUCKET_MS;
    let bucket = this.#buckets.findLast((known) => known.startMs === startMs);
    if (bucket === undefined) {
      bucket = { startMs, exposure: 0, failures: 0 };
      this.#buckets.push(bucket);
      this.#buckets.sort((a, b) => a.startMs - b.startMs);
    }
    bucket.exposure += exposure;
    bucket.failures += failures;
  }

  /** Drops what is older than a time. */
  dropBefore(atMs: number): void {
    if ((this.#buckets[0]?.startMs ?? atMs) < atMs) {
      this.#buckets = this.#buckets.filter(({ startMs }) => startMs >= atMs);
    }
  }

  get isEmpty(): boolean {
    return this.#buckets.length === 0;
  }

  get total(): NodeTrial {
    const total = { exposure: 0, failures: 0 };
    for (const { exposure, failures } of this.#buckets) {
      total.exposure += exposure;
      total.failures += failures;
    }
    return total;
  }
}
