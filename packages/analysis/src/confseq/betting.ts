/**
 * Confidence sequences for the mean of values in [0, 1] by betting on it.
 * Source of all of it: Waudby-Smith and Ramdas, JRSS-B 2024.
 */
export interface MeanInterval {
  readonly low: number;
  readonly high: number;
}

/** No bet risks more than this part of what it could lose. */
const TRUNCATION = 0.5;

/** Stakes before each value, from the mean and variance of those before it ("predictable mixture, empirical Bernstein"). */
export function predictableStakes(values: readonly number[], alpha: number): number[] {
  const stakes: number[] = [];
  let sum = 0.5;
  let squares = 0.25;
  for (const [i, value] of values.entries()) {
    const variance = squares / (i + 1);
    stakes.push(Math.sqrt((2 * Math.log(1 / alpha)) / (variance * (i + 1) * Math.log(i + 2))));
    sum += value;
    squares += (value - sum / (i + 2)) ** 2;
  }
  return stakes;
}

/** Logarithm of the larger of half the capital of a bettor on "above `mean`" and half of one on "below". */
export function logHedgedCapital(values: readonly number[], mean: number, alpha: number): number {
  let above = 0;
  let below = 0;
  for (const [i, stake] of predictableStakes(values, alpha / 2).entries()) {
    const gain = (values[i] ?? 0) - mean;
    above += Math.log1p(Math.min(stake, TRUNCATION / mean) * gain);
    below += Math.log1p(-Math.min(stake, TRUNCATION / (1 - mean)) * gain);
  }
  return Math.max(above, below) - Math.log(2);
}

/** Means on a grid of `breaks` steps that the hedged capital has not refuted. */
export function bettingInterval(values: readonly number[], alpha: number, breaks = 1000): MeanInterval {
  const kept = Array.from({ length: breaks + 1 }, (_, i) => i / breaks).filter(
    (mean) => logHedgedCapital(values, mean, alpha) < Math.log(1 / alpha),
  );
  return { low: kept[0] ?? 0, high: kept.at(-1) ?? 1 };
}

/** Closed form: empirical Bernstein with predictable stakes. */
export function empiricalBernsteinInterval(values: readonly number[], alpha: number): MeanInterval {
  const mirrored = values.map((value) => 1 - value);
  return { low: bernsteinLow(values, alpha / 2), high: 1 - bernsteinLow(mirrored, alpha / 2) };
}

function bernsteinLow(values: readonly number[], alpha: number): number {
  let [total, weighted, cost, sum] = [0, 0, 0, 0];
  for (const [i, free] of predictableStakes(values, alpha).entries()) {
    const stake = Math.min(free, TRUNCATION);
    const value = values[i] ?? 0;
    // Nothing is expected of the first value: any guess that does not look at it will do.
    const guess = i === 0 ? 0 : sum / i;
    cost += (value - guess) ** 2 * (-Math.log1p(-stake) - stake);
    total += stake;
    weighted += stake * value;
    sum += value;
  }
  return Math.max(0, (weighted - Math.log(1 / alpha) - cost) / total);
}

/** Closed form: Hoeffding with predictable stakes. */
export function hoeffdingInterval(values: readonly number[], alpha: number): MeanInterval {
  let [total, weighted, cost] = [0, 0, 0];
  for (const [i, value] of values.entries()) {
    const stake = Math.min(1, Math.sqrt((8 * Math.log(2 / alpha)) / ((i + 1) * Math.log(i + 2))));
    total += stake;
    weighted += stake * value;
    cost += (stake * stake) / 8;
  }
  const [centre, radius] = [weighted / total, (Math.log(2 / alpha) + cost) / total];
  return { low: Math.max(0, centre - radius), high: Math.min(1, centre + radius) };
}
