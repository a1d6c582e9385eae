/** Two arms, how traffic is split between them, and how sure one wants to be. */
export interface InformationLimitOptions {
  /** Error rates in (0, 1). */
  readonly baselineRate: number;
  readonly canaryRate: number;
  /** Canary's share of traffic in (0, 1). */
  readonly weight: number;
  readonly alpha: number;
}

/**
 * Requests in total that any test with this false-alarm chance needs on average to tell the arms apart when neither
 * rate is known: log(1/α) over the information in one request. Infinity when the rates are equal.
 * Source: Wald 1945; Farrell, Ann. Math. Stat. 35 (1964).
 */
export function informationLimit({ baselineRate, canaryRate, weight, alpha }: InformationLimitOptions): number {
  return Math.log(1 / alpha) / requestInformation(baselineRate, canaryRate, weight);
}

/** Expected evidence of one request, in nats, against "both arms have the same rate". */
export function requestInformation(baselineRate: number, canaryRate: number, weight: number): number {
  const pooled = weight * canaryRate + (1 - weight) * baselineRate;
  return weight * divergence(canaryRate, pooled) + (1 - weight) * divergence(baselineRate, pooled);
}

/** Kullback-Leibler divergence of two Bernoulli distributions, in nats. */
function divergence(p: number, q: number): number {
  const part = (a: number, b: number): number => (a === 0 ? 0 : a * Math.log(a / b));
  return part(p, q) + part(1 - p, 1 - q);
}
