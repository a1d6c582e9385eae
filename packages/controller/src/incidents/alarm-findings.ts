import { IncidentKind, IncidentSeverity } from "@kedge/proto";
import type { DeploymentWatch } from "./deployment-watch.ts";
import { type Finding, gaugeOf } from "./finding.ts";
import type { NodeAlarm } from "./node-watch.ts";
import { usualBefore } from "./track.ts";
import { formatValue, type NodeMetric, type TrafficMetric } from "./watched-metrics.ts";
import type { Alarm } from "./watched-series.ts";

/** Groups of metrics that one incident stands for: the last part of its key. */
export const GROUP_OF: Readonly<Record<TrafficMetric | "load average" | "free memory", string>> = {
  "error rate": "errors",
  "response time": "latency",
  requests: "traffic",
  "prediction shift": "predictions",
  "load average": "load",
  "free memory": "memory",
};

const SEVERITIES: Readonly<Partial<Record<string, IncidentSeverity>>> = {
  requests: IncidentSeverity.INFO,
  "load average": IncidentSeverity.INFO,
};

/** What of a deployment's share of a node shows in the node's own figures. */
const SHOWN_AS: Readonly<Partial<Record<NodeMetric, TrafficMetric>>> = {
  slowness: "response time",
  "error excess": "error rate",
};

/** A metric of a deployment, on all of its nodes together, that left its usual range. */
export function deploymentFinding(deployment: string, revision: number, alarm: Alarm<TrafficMetric>): Finding {
  const { metric, value, usual, beganAtMs } = alarm;
  return {
    key: `anomaly/deployment/${deployment}/${GROUP_OF[metric]}`,
    kind: IncidentKind.ANOMALY,
    severity: SEVERITIES[metric] ?? IncidentSeverity.WARNING,
    subject: { deployment, revision },
    summary: `unusual ${metric} of deployment ${deployment}`,
    reason: reasonOf(alarm),
    beganAtMs,
    isAlarm: true,
    gauge: gaugeOf(metric, usual, value),
  };
}

/** A deployment's budget of errors that burns too fast. */
export function burnFinding(deployment: string, watch: DeploymentWatch): Finding | undefined {
  const { burn, revision } = watch;
  const { burning } = burn;
  if (burning === undefined) return undefined;
  return {
    key: `burn/deployment/${deployment}`,
    kind: IncidentKind.BURN_RATE,
    severity: IncidentSeverity.CRITICAL,
    subject: { deployment, revision },
    summary: `the error budget of deployment ${deployment} burns too fast`,
    reason: burning.reason,
    beganAtMs: burning.sinceMs,
  };
}

/** A metric of a node that left its usual range; of its share of a deployment: told as the deployment's, on that node. */
export function nodeFinding(nodeId: string, alarm: NodeAlarm, watch: DeploymentWatch | undefined): Finding | undefined {
  const shown = SHOWN_AS[alarm.metric];
  if (shown !== undefined) return shareFinding(nodeId, { ...alarm, metric: shown }, watch);
  const metric = alarm.metric === "free memory" ? "free memory" : "load average";
  return {
    key: `anomaly/node/${nodeId}/${GROUP_OF[metric]}`,
    kind: IncidentKind.ANOMALY,
    severity: SEVERITIES[metric] ?? IncidentSeverity.WARNING,
    subject: { nodeId },
    summary: `unusual ${metric} of node ${nodeId}`,
    reason: reasonOf({ ...alarm, metric }),
    beganAtMs: alarm.beganAtMs,
    isAlarm: true,
    gauge: gaugeOf(metric, alarm.usual, alarm.value),
  };
}

function shareFinding(
  nodeId: string,
  alarm: Omit<NodeAlarm, "metric"> & { readonly metric: TrafficMetric },
  watch: DeploymentWatch | undefined,
): Finding | undefined {
  const { metric, deployment, beganAtMs, chance } = alarm;
  const track = watch?.nodeTrack(nodeId);
  if (deployment === undefined || watch === undefined || track === undefined) return undefined;
  const value = track.newest(metric, 0) ?? Number.NaN;
  const usual = usualBefore(track.points(metric), beganAtMs) ?? Number.NaN;
  const apart =
    metric === "response time"
      ? `${alarm.value.toFixed(1)} times as slow as the other nodes, usually ${alarm.usual.toFixed(1)}`
      : `${alarm.value.toFixed(2)} % more errors than on the other nodes`;
  return {
    key: `anomaly/deployment/${deployment}/${GROUP_OF[metric]}`,
    kind: IncidentKind.ANOMALY,
    severity: IncidentSeverity.WARNING,
    subject: { deployment, revision: watch.revision, nodeId },
    summary: `unusual ${metric} of deployment ${deployment} on node ${nodeId}`,
    reason: `${metric} ${formatValue(metric, value)}, ${apart}: ${chance}`,
    beganAtMs,
    isAlarm: true,
    ...(value !== usual && Number.isFinite(value - usual) ? { gauge: gaugeOf(metric, usual, value) } : {}),
  };
}

function reasonOf({ metric, value, usual, chance }: Alarm<TrafficMetric | NodeMetric>): string {
  return `unusual ${metric}: ${formatValue(metric, value)}, usually ${formatValue(metric, usual)}; ${chance}`;
}
