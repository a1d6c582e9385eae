/** log Σ weights[i]·exp(logs[i]), without overflow. Weights are not negative; −Infinity when nothing has weight. */
export function logWeightedSum(logs: ArrayLike<number>, weights: ArrayLike<number>): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logs.length; i++) if ((weights[i] ?? 0) > 0) highest = Math.max(highest, logs[i] ?? 0);
  if (!Number.isFinite(highest)) return highest;
  let sum = 0;
  for (let i = 0; i < logs.length; i++) sum += (weights[i] ?? 0) * Math.exp((logs[i] ?? 0) - highest);
  return highest + Math.log(sum);
}

/** log Σ exp(logs[i]), without overflow; −Infinity of nothing. */
export function logSum(logs: ArrayLike<number>): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logs.length; i++) highest = Math.max(highest, logs[i] ?? 0);
  if (!Number.isFinite(highest)) return highest;
  let sum = 0;
  for (let i = 0; i < logs.length; i++) sum += Math.exp((logs[i] ?? 0) - highest);
  return highest + Math.log(sum);
}

/** Weights scaled to add up to 1. */
export function normalised(weights: readonly number[]): readonly number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** `count` numbers from `low` to `high`, evenly spaced on a logarithmic scale. */
export function logSpaced(low: number, high: number, count: number): number[] {
  const step = Math.log(high / low) / (count - 1);
  return Array.from({ length: count }, (_, i) => low * Math.exp(step * i));
}
