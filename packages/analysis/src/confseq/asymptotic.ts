/** Sample size and spread so far, and where the bound is tightest. */
export interface AsymptoticOptions {
  readonly count: number;
  readonly deviation: number;
  readonly alpha: number;
  /** See `asymptoticRho2`. */
  readonly rho2: number;
}

/** Tuning that makes asymptotic bounds tightest after `count` values. */
export function asymptoticRho2(count: number, alpha: number): number {
  return (-2 * Math.log(alpha) + Math.log(1 - 2 * Math.log(alpha))) / count;
}

/**
 * Half-width of an asymptotic confidence sequence of a mean: any finite variance, no bounds, from some hundred values on.
 * Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 2024, theorem 2.2.
 */
export function asymptoticRadius({ count, deviation, alpha, rho2 }: AsymptoticOptions): number {
  const time = count * rho2 + 1;
  return deviation * Math.sqrt(((2 * time) / (count * count * rho2)) * Math.log(Math.sqrt(time) / alpha));
}

/** The same to one side. */
export function asymptoticOneSidedRadius({ count, deviation, alpha, rho2 }: AsymptoticOptions): number {
  const time = count * rho2 + 1;
  return deviation * Math.sqrt(((2 * time) / (count * count * rho2)) * Math.log1p(Math.sqrt(time) / (2 * alpha)));
}
