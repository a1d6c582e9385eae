import { regularisedGammaP } from "./incomplete-gamma.ts";

/** Standard normal distribution function. */
export function normalCdf(z: number): number {
  const tail = 0.5 * (1 - regularisedGammaP(0.5, (z * z) / 2));
  return z > 0 ? 1 - tail : tail;
}

/** z with normalCdf(z) = p, for p in (0, 1), by bisection. */
export function normalQuantile(p: number): number {
  let low = -9;
  let high = 9;
  while (high - low > 1e-12) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
