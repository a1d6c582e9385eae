import type { RankedMetric } from "./rank-metrics.ts";

/** Sigmas at which a rise is as good as half certain to be one. */
const HALF_SIGMAS = 6;
/** How much of a component's anomaly one anomalous callee may explain. */
const EXPLAINS = 0.85;

/** How anomalous a component is, and how much of that its callees do not explain; both 0 to 1. */
export interface Involvement {
  readonly anomaly: number;
  readonly unexplained: number;
  /** The callee that explains most, where one explains anything. */
  readonly blamed?: string;
}

/** How anomalous a metric is, 0 to 1. With few points its rise alone has to tell. */
export function anomalyOf({ sigmas, distance = 1 }: RankedMetric): number {
  const rise = Math.max(0, sigmas);
  return distance * (rise / (rise + HALF_SIGMAS));
}

/**
 * Each component's involvement: an anomaly that a callee has too is likely handed up from there. What the callees
 * explain is counted as independent causes (noisy-or), so that the component left over is the one that is anomalous
 * without an anomalous callee (the traversal of Hardt et al., PetShop, CLeaR 2024).
 */
export function involvements(
  metrics: readonly RankedMetric[],
  calls: readonly (readonly [caller: string, callee: string])[],
): Map<string, Involvement> {
  const anomalies = new Map<string, number>(calls.flat().map((name) => [name, 0]));
  for (const metric of metrics) {
    anomalies.set(metric.component, Math.max(anomalies.get(metric.component) ?? 0, anomalyOf(metric)));
  }
  const involved = new Map<string, Involvement>();
  for (const [name, anomaly] of anomalies) {
    const callees = new Set(
      calls.filter(([caller, callee]) => caller === name && callee !== name).map(([, callee]) => callee),
    );
    let left = 1;
    let blamed: string | undefined;
    for (const callee of callees) {
      const theirs = anomalies.get(callee) ?? 0;
      left *= 1 - EXPLAINS * theirs;
      if (theirs > (blamed === undefined ? 0 : (anomalies.get(blamed) ?? 0))) blamed = callee;
    }
    involved.set(name, { anomaly, unexplained: anomaly * left, ...(blamed === undefined ? {} : { blamed }) });
  }
  return involved;
}
