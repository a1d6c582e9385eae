/** A deviation is at least this share of the spread that both samples together have: what never varied must not reach infinity. */
const LEAST_SHARE = 0.01;

interface Moments {
  readonly mean: number;
  readonly deviation: number;
}

/**
 * How many standard deviations of `normal` the highest anomalous value lies above the mean of `normal`; negative when
 * all are below. Rises alone count: causes overload, and what they starve falls (N-sigma of RCAEval, Pham et al., ASE
 * 2024, signed). The same for every unit. 0 when a sample is empty or nothing varies. Values are to be finite.
 */
export function signedSigmas(normal: readonly number[], anomalous: readonly number[]): number {
  if (normal.length === 0 || anomalous.length === 0) return 0;
  // Huge values would overflow when squared; in units of the largest they cannot.
  const unit = largest(normal, largest(anomalous, 0));
  if (unit === 0) return 0;
  const usual = moments(normal, unit);
  const all = moments([...normal, ...anomalous], unit);
  const deviation = Math.max(usual.deviation, LEAST_SHARE * all.deviation);
  let top = Number.NEGATIVE_INFINITY;
  for (const value of anomalous) top = Math.max(top, value / unit);
  return deviation > 0 ? (top - usual.mean) / deviation : 0;
}

function largest(values: readonly number[], atLeast: number): number {
  let size = atLeast;
  for (const value of values) size = Math.max(size, Math.abs(value));
  return size;
}

function moments(values: readonly number[], unit: number): Moments {
  let mean = 0;
  for (const value of values) mean += value / unit / values.length;
  let variance = 0;
  for (const value of values) variance += (value / unit - mean) ** 2 / values.length;
  const deviation = Math.sqrt(variance);
  // Rounding of the mean is no variation.
  return { mean, deviation: deviation < 1e-12 ? 0 : deviation };
}
