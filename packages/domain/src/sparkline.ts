const BARS = "▁▂▃▄▅▆▇█";
const MISSING = " ";

/**
 * Values as a line of at most `width` bars between the least and the greatest. Of more values than that each bar shows the
 * one of its stretch that is farthest from the mean, so that no peak and no dip is lost. What is not finite is a gap.
 */
export function sparkline(values: readonly number[], width: number): string {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return "";
  const least = Math.min(...finite);
  const span = Math.max(...finite) - least;
  const mean = finite.reduce((sum, value) => sum + value / finite.length, 0);
  const bars = Math.min(width, values.length);
  return Array.from({ length: bars }, (_, i) => {
    const stretch = values.slice(Math.floor((i * values.length) / bars), Math.floor(((i + 1) * values.length) / bars));
    const [shown] = stretch.filter(Number.isFinite).sort((a, b) => Math.abs(b - mean) - Math.abs(a - mean));
    if (shown === undefined) return MISSING;
    const height = span > 0 ? (shown - least) / span : 0;
    return BARS[Math.round(height * (BARS.length - 1))] ?? MISSING;
  }).join("");
}
