const BARS = "▁▂▃▄▅▆▇█";
const MAX_BARS = 32;

/** Values as a line of bars from the least to the greatest; more than 32 are drawn by the greatest of each stretch. */
export function sparkline(values: readonly number[]): string {
  const finite = values.filter(Number.isFinite);
  const width = Math.min(MAX_BARS, finite.length);
  const peaks = Array.from({ length: width }, (_, i) => {
    const from = Math.floor((i * finite.length) / width);
    return Math.max(...finite.slice(from, Math.floor(((i + 1) * finite.length) / width)));
  });
  const least = Math.min(...peaks);
  const span = Math.max(...peaks) - least;
  return peaks.map((peak) => BARS[span === 0 ? 0 : Math.round(((peak - least) / span) * (BARS.length - 1))]).join("");
}
