import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Incident,
  type IncidentCause,
  IncidentCauseSchema,
  IncidentKind,
  type IncidentSeries,
  IncidentSeriesSchema,
} from "@kedge/proto";
import { type Component, likelyCauses } from "./causes.ts";
import type { DeploymentWatch } from "./deployment-watch.ts";
import type { FleetWatch } from "./fleet-watch.ts";
import type { RecentChanges } from "./recent-changes.ts";
import type { Track, TrackPoint } from "./track.ts";
import { type NodeMetric, type TrafficMetric, UNITS } from "./watched-metrics.ts";

/** What is known around an incident now. */
export interface Evidence {
  readonly series: IncidentSeries[];
  readonly causes: IncidentCause[];
}

/** What evidence is gathered from. */
export interface EvidenceSources {
  readonly watch: FleetWatch;
  readonly changes: RecentChanges;
}

const MAX_SERIES = 3;
/** Nodes that are looked at one by one; of more, those that deviate most, and as many spread over the rest. */
const MAX_NODES = 64;
const NODE_FIGURES = ["load average", "free memory", "replica restarts", "heartbeat gap"] as const;
/** What a node did in its last minutes may tell why it was lost. */
const LAST_MINUTES_MS = 120_000;

/** Series and likely causes of an incident, by what the watch knows. */
export function gatherEvidence(incident: Incident, sources: EvidenceSources): Evidence {
  if (incident.kind === IncidentKind.ROLLOUT) return { series: [], causes: [judgedRevision(incident)] };
  const { watch, changes } = sources;
  const { deployment = "", nodeId = "" } = incident.subject ?? {};
  const beganAtMs = beganAt(incident);
  const served = watch.deployment(deployment);
  const nodesOf = (name: string): readonly string[] => watch.deployment(name)?.nodeIds ?? [];
  const components =
    deployment === "" ? nodeComponents(nodeId, watch) : deploymentComponents(deployment, sources, metricOf(incident));
  const nodes = components.filter(({ kind }) => kind === "node").map(({ name }) => name);
  const isServed = served !== undefined && deployment !== "";
  const known = new Set(components.map(({ name }) => name));
  return {
    series: seriesOf(incident, watch).slice(0, MAX_SERIES),
    causes: likelyCauses({
      beganAtMs,
      components,
      ...(isServed ? { revision: { name: `${deployment} revision ${served.revision}`, nodes } } : {}),
      changes: changes
        .since(beganAtMs, nodesOf)
        .filter(
          ({ touched }) => touched === undefined || touched.some((name) => known.has(name) || name === deployment),
        ),
    }),
  };
}

/** A rollout says itself why it went the way it went. */
function judgedRevision({ subject, reason }: Incident): IncidentCause {
  const name = `${subject?.deployment} revision ${subject?.revision}`;
  return create(IncidentCauseSchema, { kind: "revision", name, score: 1, reason });
}

/** When an incident began, by estimate. */
export function beganAt({ beganAt: began, openedAt, kind }: Incident): number {
  const at = began ?? openedAt;
  const atMs = at === undefined ? 0 : timestampMs(at);
  return kind === IncidentKind.NODE ? atMs - LAST_MINUTES_MS : atMs;
}

/** The metric that an incident is about, by the last part of its key. */
function metricOf({ key, kind }: Incident): TrafficMetric {
  if (kind === IncidentKind.BURN_RATE) return "error rate";
  if (key.endsWith("/latency")) return "response time";
  if (key.endsWith("/traffic")) return "requests";
  return key.endsWith("/predictions") ? "prediction shift" : "error rate";
}

function deploymentComponents(name: string, { watch }: EvidenceSources, metric: TrafficMetric): Component[] {
  const served = watch.deployment(name);
  if (served === undefined) return [];
  const nodes = chooseNodes(served, metric).map((nodeId): Component => {
    const track = served.nodeTrack(nodeId);
    const own = (["error rate", "response time"] as const).map((each) => ({
      name: each,
      points: pointsOf(track, each),
    }));
    return { name: nodeId, kind: "node", metrics: [...own, ...nodeFigures(nodeId, watch)] };
  });
  const requests = { name: "requests", points: served.track.points("requests") };
  return [...nodes, { name: `traffic to ${name}`, kind: "metric", metrics: [requests] }];
}

function nodeComponents(nodeId: string, watch: FleetWatch): Component[] {
  return [{ name: nodeId, kind: "node", metrics: nodeFigures(nodeId, watch) }];
}

function nodeFigures(nodeId: string, watch: FleetWatch) {
  const track = watch.node(nodeId)?.track;
  return NODE_FIGURES.map((name) => ({ name, points: pointsOf(track, name), falls: name === "free memory" }));
}

function chooseNodes(served: DeploymentWatch, metric: TrafficMetric): readonly string[] {
  const all = served.nodeIds;
  if (all.length <= MAX_NODES) return all;
  const newest = (nodeId: string): number => served.nodeTrack(nodeId)?.newest(metric, 0) ?? 0;
  const worst = all.toSorted((a, b) => newest(b) - newest(a)).slice(0, MAX_NODES / 2);
  const every = Math.ceil((2 * all.length) / MAX_NODES);
  return [...new Set([...worst, ...all.filter((_, i) => i % every === 0)])];
}

/** The metric itself first, then what people look at beside it. */
function seriesOf(incident: Incident, watch: FleetWatch): IncidentSeries[] {
  const { deployment = "", nodeId = "" } = incident.subject ?? {};
  const served = watch.deployment(deployment);
  const figures = watch.node(nodeId)?.track;
  if (incident.kind === IncidentKind.REPLICA) {
    return [series(figures, "replica restarts"), series(figures, "free memory")].filter(hasPoints);
  }
  if (served === undefined) {
    const first: NodeMetric = incident.key.endsWith("/memory") ? "free memory" : "load average";
    const second: NodeMetric = first === "free memory" ? "load average" : "free memory";
    return [series(figures, first), series(figures, second), series(figures, "heartbeat gap")].filter(hasPoints);
  }
  const isOfNode = nodeId !== "" && incident.kind === IncidentKind.ANOMALY;
  const metric = metricOf(incident);
  const beside = metric === "error rate" ? "response time" : "error rate";
  const shown = [
    series(isOfNode ? served.nodeTrack(nodeId) : served.track, metric, isOfNode ? ` on ${nodeId}` : ""),
    isOfNode ? series(served.track, metric) : series(served.track, beside),
    metric === "requests" ? series(served.track, "response time") : series(served.track, "requests"),
  ];
  return shown.filter(hasPoints);
}

const hasPoints = ({ points }: IncidentSeries): boolean => points.length > 0;

function series<M extends TrafficMetric | NodeMetric>(
  track: Track<M> | undefined,
  metric: M,
  where = "",
): IncidentSeries {
  const points = pointsOf(track, metric).map(({ atMs, value }) => ({ at: timestampFromMs(atMs), value }));
  return create(IncidentSeriesSchema, { metric: `${metric}${where}`, unit: UNITS[metric], points });
}

function pointsOf<M extends string>(track: Track<M> | undefined, metric: M): TrackPoint[] {
  return track?.points(metric) ?? [];
}
