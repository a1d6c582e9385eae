/**
 * The two-sample Kolmogorov-Smirnov statistic: the largest distance between the two empirical distributions, 0 to 1.
 * Values are to be finite; 0 when a sample is empty.
 */
export function kolmogorovSmirnov(first: readonly number[], second: readonly number[]): number {
  if (first.length === 0 || second.length === 0) return 0;
  const a = Float64Array.from(first).sort();
  const b = Float64Array.from(second).sort();
  let distance = 0;
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i] ?? 0, b[j] ?? 0);
    // All equal values are passed at once: ties must not look like a distance.
    while (i < a.length && (a[i] ?? 0) <= value) i++;
    while (j < b.length && (b[j] ?? 0) <= value) j++;
    distance = Math.max(distance, Math.abs(i / a.length - j / b.length));
  }
  return distance;
}
