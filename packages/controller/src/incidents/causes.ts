import { create } from "@bufbuild/protobuf";
import { anomalyOf, type MetricSamples, type RankedMetric, rankCauses, rankMetrics } from "@kedge/analysis";
import { type IncidentCause, IncidentCauseSchema } from "@kedge/proto";
import type { TrackPoint } from "./track.ts";

/** A metric of a component, with what is known of it around the incident. */
export interface ComponentMetric {
  /** For people: "response time". */
  readonly name: string;
  readonly points: readonly TrackPoint[];
  /** Whether less is worse. */
  readonly falls?: boolean;
}

/** What may be the cause, or show it: a node, or a metric that stands for itself. */
export interface Component {
  /** No underscores. */
  readonly name: string;
  readonly kind: "node" | "revision" | "metric";
  readonly metrics: readonly ComponentMetric[];
}

/** Something that somebody or something did. */
export interface Change {
  readonly atMs: number;
  /** For people: "revision 7 of vad promoted". */
  readonly what: string;
  /** Names of components and groups that it touched; absent: it touched everything a little. */
  readonly touched?: readonly string[];
}

/** What is known around an incident. */
export interface CauseInput {
  readonly beganAtMs: number;
  readonly components: readonly Component[];
  /** The revision that all the nodes have in common. */
  readonly revision?: { readonly name: string; readonly nodes: readonly string[] };
  readonly changes: readonly Change[];
}

const MAX_CAUSES = 8;
/** Metrics that are named beside the nodes and changes. */
const NAMED_METRICS = 2;
const METRIC_WEIGHT = 0.5;
/** From here on a component deviates. */
const DEVIATES = 0.5;
/** As `rankCauses` has it: what a change at the very start weighs, and how it fades. */
const CHANGE_WEIGHT = 3;
const CHANGE_FADE_MS = 900_000;
/** Clocks and steps are not exact. */
const CHANGE_SLACK_MS = 30_000;
/** Of a change that touched everything, and of one that touched what does not deviate. */
const VAGUE_SHARE = 0.1;

interface Suspect {
  readonly kind: string;
  readonly name: string;
  readonly weight: number;
  readonly reason: string;
}

/**
 * Likely causes of an incident, the likeliest first: components by how much their metrics deviate, the revision when
 * most of its nodes do, and what was changed shortly before by how well what it touched and what deviates are the same. Scores
 * are shares of all suspicion. The prior for changes is that of `rankCauses`.
 */
export function likelyCauses(input: CauseInput): IncidentCause[] {
  const ranked = rankMetrics(samplesOf(input));
  const anomalies = anomalyByComponent(ranked);
  const suspects = [
    ...componentSuspects(input, ranked, anomalies),
    ...metricSuspects(input, ranked),
    ...input.changes.flatMap((change) => changeSuspect(change, input, anomalies) ?? []),
  ];
  const total = suspects.reduce((sum, { weight }) => sum + weight, 0);
  return suspects
    .filter(({ weight }) => weight > 0.01 * total)
    .sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_CAUSES)
    .map(({ kind, name, weight, reason }) =>
      create(IncidentCauseSchema, { kind, name, reason, score: Number((weight / total).toFixed(3)) }),
    );
}

function samplesOf({ components, beganAtMs }: CauseInput): { normal: MetricSamples; anomalous: MetricSamples } {
  const normal: Record<string, number[]> = {};
  const anomalous: Record<string, number[]> = {};
  for (const { name, metrics } of components) {
    for (const { name: metric, points, falls } of metrics) {
      const before: number[] = [];
      const during: number[] = [];
      for (const { atMs, value } of points) (atMs < beganAtMs ? before : during).push(falls ? -value : value);
      normal[`${name}_${metric}`] = before;
      anomalous[`${name}_${metric}`] = during;
    }
  }
  return { normal, anomalous };
}

function anomalyByComponent(ranked: readonly RankedMetric[]): Map<string, number> {
  const anomalies = new Map<string, number>();
  for (const metric of ranked) {
    anomalies.set(metric.component, Math.max(anomalies.get(metric.component) ?? 0, anomalyOf(metric)));
  }
  return anomalies;
}

function componentSuspects(
  { components, revision, beganAtMs }: CauseInput,
  ranked: readonly RankedMetric[],
  anomalies: ReadonlyMap<string, number>,
): Suspect[] {
  const kinds = new Map(components.map(({ name, kind }) => [name, kind]));
  const nodes = revision?.nodes ?? [];
  const deviating = nodes.filter((name) => (anomalies.get(name) ?? 0) >= DEVIATES);
  // What one node of several shows is no trait of the revision.
  const isShared = 2 * deviating.length > nodes.length;
  const groups = isShared && revision ? [{ name: revision.name, kind: "revision", members: nodes }] : [];
  const query = { metrics: ranked, calls: [], groups, startedAtSeconds: beganAtMs / 1000 };
  return rankCauses(query).map((suspect) => {
    const [best] = suspect.metrics;
    const reason =
      suspect.kind === "revision"
        ? `${deviating.length} of the ${nodes.length} nodes that serve it deviate`
        : (best && describe(best)) || "";
    return { kind: kinds.get(suspect.name) ?? suspect.kind, name: suspect.name, weight: suspect.weight, reason };
  });
}

function metricSuspects({ components }: CauseInput, ranked: readonly RankedMetric[]): Suspect[] {
  const nodes = new Set(components.filter(({ kind }) => kind !== "metric").map(({ name }) => name));
  return ranked
    .filter((metric) => nodes.has(metric.component) && anomalyOf(metric) >= DEVIATES)
    .slice(0, NAMED_METRICS)
    .map((metric, i) => ({
      kind: "metric",
      name: `${metricName(metric)} on ${metric.component}`,
      weight: (METRIC_WEIGHT * anomalyOf(metric)) / (1 + i),
      reason: describe(metric),
    }));
}

function changeSuspect(
  { atMs, what, touched }: Change,
  { beganAtMs, components }: CauseInput,
  anomalies: ReadonlyMap<string, number>,
): Suspect | undefined {
  if (atMs > beganAtMs + CHANGE_SLACK_MS) return undefined;
  const ageMs = Math.max(0, beganAtMs - atMs);
  const fresh = CHANGE_WEIGHT * Math.exp(-ageMs / CHANGE_FADE_MS);
  const age = `${Math.round(ageMs / 1000)} s before`;
  const sumOf = (names: readonly string[]): number => names.reduce((sum, name) => sum + (anomalies.get(name) ?? 0), 0);
  const known = new Set(components.map(({ name }) => name));
  const hit = (touched ?? []).filter((name) => known.has(name));
  const inside = sumOf(hit);
  if (hit.length === 0 || inside === 0) return { kind: "change", name: what, weight: VAGUE_SHARE * fresh, reason: age };
  const coverage = inside / sumOf([...known]);
  const precision = inside / hit.length;
  const deviating = hit.filter((name) => (anomalies.get(name) ?? 0) >= DEVIATES).length;
  const reason = `${age}; ${deviating} of the ${hit.length} that it touched deviate`;
  return { kind: "change", name: what, weight: fresh * coverage * precision, reason };
}

const metricName = ({ metric, component }: RankedMetric): string => metric.slice(component.length + 1);

function describe(metric: RankedMetric): string {
  const { sigmas, distance } = metric;
  const apart = distance === undefined ? "" : `, distributions ${distance.toFixed(2)} apart`;
  const many = sigmas >= 1_000 ? "over 1000" : sigmas.toFixed(1);
  return `${metricName(metric)} is ${many} standard deviations worse${apart}`;
}
