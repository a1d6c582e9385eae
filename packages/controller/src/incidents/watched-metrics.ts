/** What is watched of a deployment. Names are for people, and in documents. */
export const TRAFFIC_METRICS = ["error rate", "response time", "requests", "prediction shift"] as const;
/** What is watched of a deployment, on one node or on all. */
export type TrafficMetric = (typeof TRAFFIC_METRICS)[number];

/** What is watched of a node. */
export const NODE_METRICS = [
  "load average",
  "free memory",
  "replica restarts",
  "heartbeat gap",
  // Response time of the node's share of its deployments over that of their other nodes.
  "slowness",
  // Error rate of that share beyond that of the other nodes.
  "error excess",
] as const;
/** What is watched of a node. */
export type NodeMetric = (typeof NODE_METRICS)[number];

/** A metric's unit, as people write it. */
export const UNITS: Readonly<Record<TrafficMetric | NodeMetric, string>> = {
  "error rate": "%",
  "response time": "ms",
  requests: "/s",
  "prediction shift": "%",
  "load average": "",
  "free memory": "MiB",
  "replica restarts": "",
  "heartbeat gap": "s",
  slowness: "times",
  "error excess": "%",
};

/** How much of a change it takes for the unusual to matter. */
export interface Materiality {
  readonly worse: "up" | "down" | "both";
  /** Of the usual value. */
  readonly factor: number;
  /** Beside the factor, in the metric's unit. */
  readonly least: number;
}

/** The unusual is common among thousands of series; only what is worth somebody's time is an incident. */
export const MATERIALITY: Readonly<Record<string, Materiality>> = {
  "error rate": { worse: "up", factor: 1.5, least: 0.2 },
  "response time": { worse: "up", factor: 1.25, least: 1 },
  requests: { worse: "both", factor: 2, least: 2 },
  "prediction shift": { worse: "up", factor: 1.5, least: 5 },
  "load average": { worse: "up", factor: 2, least: 1 },
  slowness: { worse: "up", factor: 1.4, least: 0.25 },
  "error excess": { worse: "up", factor: 1.5, least: 2 },
  "free memory": { worse: "down", factor: 1.5, least: 64 },
};

/** Whether a value is so far on the worse side of what is usual that it matters. */
export function isMaterial(metric: string, value: number, usual: number): boolean {
  const rule = MATERIALITY[metric];
  if (rule === undefined || !Number.isFinite(value) || !Number.isFinite(usual)) return false;
  const { worse, factor, least } = rule;
  const isUp = value >= usual * factor && value - usual >= least;
  const isDown = value <= usual / factor && usual - value >= least;
  return (worse !== "down" && isUp) || (worse !== "up" && isDown);
}

/** A value as people read it, with its unit. */
export function formatValue(metric: TrafficMetric | NodeMetric, value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const unit = UNITS[metric];
  return `${value.toFixed(digits)}${unit === "" || unit.startsWith("/") ? unit : ` ${unit}`}`;
}
