import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { signedSigmas } from "./n-sigma.ts";

/** Below so many points on a side the KS statistic is near 1 by chance, and says nothing. */
const LEAST_POINTS = 30;
/** Reciprocal rank fusion's constant: how little the first places stand out. */
const FUSION_RANKS = 3;

/** Values of each metric, by name: `<component>_<metric>`. Values that are not finite are missing. */
export type MetricSamples = Readonly<Record<string, readonly number[]>>;

/** Both samples of one incident: before it, and during it. They may differ in length and in the metrics they have. */
export interface IncidentSamples {
  readonly normal: MetricSamples;
  readonly anomalous: MetricSamples;
}

/** One metric's evidence of being, or showing, the cause. */
export interface RankedMetric {
  readonly metric: string;
  /** What it belongs to: the name up to the first underscore. */
  readonly component: string;
  /** Standard deviations that it rose by; below 0: it fell. */
  readonly sigmas: number;
  /** Distance of its distributions, 0 to 1; absent with too few points to tell. */
  readonly distance?: number;
}

/**
 * Metrics by how likely they show the root cause, best first: three ranks fused (reciprocal rank fusion, Cormack et al.,
 * SIGIR 2009), of the metric by signed N-sigma, of the metric by KS distance, and of its component by its largest KS
 * distance. KS finds the component but often cannot tell its metrics apart; N-sigma can. Ties go by sigmas, then name.
 */
export function rankMetrics(samples: IncidentSamples): RankedMetric[] {
  const names = [...new Set([...Object.keys(samples.normal), ...Object.keys(samples.anomalous)])].sort();
  const metrics = names.map((metric) => measure(metric, samples));
  const distances = componentDistances(metrics);
  const votes = [
    metrics.map(({ sigmas }) => sigmas),
    metrics.map(({ distance = 0 }) => distance),
    metrics.map(({ component }) => distances.get(component) ?? 0),
  ].map(ranks);
  const fused = metrics.map((metric, i) => ({
    metric,
    worth: votes.reduce((sum, rank) => sum + 1 / (FUSION_RANKS + (rank[i] ?? 0)), 0),
  }));
  return fused.sort((a, b) => b.worth - a.worth || b.metric.sigmas - a.metric.sigmas).map(({ metric }) => metric);
}

function measure(metric: string, { normal, anomalous }: IncidentSamples): RankedMetric {
  const before = (normal[metric] ?? []).filter(Number.isFinite);
  const during = (anomalous[metric] ?? []).filter(Number.isFinite);
  const [component = metric] = metric.split("_", 1);
  const evidence = { metric, component, sigmas: signedSigmas(before, during) };
  if (Math.min(before.length, during.length) < LEAST_POINTS) return evidence;
  return { ...evidence, distance: kolmogorovSmirnov(before, during) };
}

function componentDistances(metrics: readonly RankedMetric[]): Map<string, number> {
  const distances = new Map<string, number>();
  for (const { component, distance = 0 } of metrics) {
    distances.set(component, Math.max(distances.get(component) ?? 0, distance));
  }
  return distances;
}

/** For each value how many different values are greater: equals share a rank. */
function ranks(values: readonly number[]): number[] {
  const order = [...new Set(values)].sort((a, b) => b - a);
  const rankOf = new Map(order.map((value, rank) => [value, rank]));
  return values.map((value) => rankOf.get(value) ?? order.length);
}
