const PER_DECADE = 24;

/**
 * Upper bounds of every latency histogram, in milliseconds: 24 a decade from 0.1 ms to 56 s, so neighbours differ by a
 * tenth, which is what a judge tolerates. Fixed: windows of all nodes and versions can be added; the eight a decade of
 * older versions are among them.
 */
export const LATENCY_BOUNDS_MS: readonly number[] = Array.from({ length: 139 }, (_, i) =>
  Number((0.1 * 10 ** (i / PER_DECADE)).toPrecision(6)),
);

/** Index of the histogram count that a latency belongs to; the last one has no upper bound. */
export function latencyBucket(latencyMs: number): number {
  let low = 0;
  let high = LATENCY_BOUNDS_MS.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((LATENCY_BOUNDS_MS[middle] ?? Number.POSITIVE_INFINITY) < latencyMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
