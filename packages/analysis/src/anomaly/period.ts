const MIN_LAG = 4;
const MIN_ROUNDS = 2.5;
/** Correlation that a lag must have to count as a period. */
const MIN_CORRELATION = 0.35;
/** A shorter lag wins over a longer one that is better by less than this: multiples of a period are periods too. */
const PREFER_SHORT = 0.9;

/**
 * The number of points after which the values repeat, by the first high peak of the autocorrelation of their
 * differences from a straight line; 0 when they do not. Quadratic in the number of values.
 */
export function dominantPeriod(values: Float64Array): number {
  const rest = withoutTrend(values);
  const maxLag = Math.floor(rest.length / MIN_ROUNDS);
  const variance = correlation(rest, 0);
  if (!(variance > 0) || maxLag <= MIN_LAG) return 0;
  const curve = Float64Array.from({ length: maxLag + 2 }, (_, lag) => correlation(rest, lag) / variance);
  const peaks: number[] = [];
  for (let lag = MIN_LAG; lag <= maxLag; lag++) {
    const here = curve[lag] ?? 0;
    if (here >= MIN_CORRELATION && here >= (curve[lag - 1] ?? 0) && here > (curve[lag + 1] ?? 0)) peaks.push(lag);
  }
  const best = Math.max(...peaks.map((lag) => curve[lag] ?? 0));
  return peaks.find((lag) => (curve[lag] ?? 0) >= PREFER_SHORT * best) ?? 0;
}

/** Mean product of values `lag` apart. */
function correlation(values: Float64Array, lag: number): number {
  let sum = 0;
  for (let i = lag; i < values.length; i++) sum += (values[i] ?? 0) * (values[i - lag] ?? 0);
  return sum / (values.length - lag);
}

/** Least-squares line taken off. */
function withoutTrend(values: Float64Array): Float64Array {
  const n = values.length;
  const middle = (n - 1) / 2;
  let mean = 0;
  for (const value of values) mean += value / n;
  let slope = 0;
  let spread = 0;
  for (let i = 0; i < n; i++) {
    slope += (i - middle) * ((values[i] ?? 0) - mean);
    spread += (i - middle) ** 2;
  }
  slope = spread > 0 ? slope / spread : 0;
  return values.map((value, i) => value - mean - slope * (i - middle));
}
