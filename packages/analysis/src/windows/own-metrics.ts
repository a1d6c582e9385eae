import {
  MetricKind,
  type MetricMoments,
  type MetricSamples,
  type MetricSpec,
  type ReplicaExposure,
  type UserMetric,
  WorseWhen,
} from "@kedge/proto";
import type { EventCount, MetricValue } from "../judge/judge-types.ts";
import type { MetricOptions } from "../judge/metric-options.ts";

/** Name that restarts and memory kills of replicas are judged under. */
export const RESTARTS = "restarts";

const MAX_REPORTED = 10_000_000;
const MS_PER_HOUR = 3_600_000;
const MAX_BOUNDS = 256;
const MAX_VALUES = 256;
/** More than so many events a request, and this many beside, are no events but an amount. */
const EVENTS_A_REQUEST = 2;
const EVENTS_BESIDE = 16;

/** How the judge compares a metric that gateways do not see; undefined for those that they do. */
export function metricOptions(
  { name, kind, worseWhen, passMargin, lower, upper, tolerance = 0, toleranceFloor = 0 }: MetricSpec,
  margin: number,
): MetricOptions | undefined {
  const own = passMargin || margin;
  const worse = worseWhen === WorseWhen.LOWER ? "lower" : "higher";
  switch (kind) {
    case MetricKind.RESTARTS:
      // They are too rare for a rollout to wait until it is shown that there are not more.
      return { kind: "events", name: RESTARTS, ...(passMargin > 0 ? { margin: passMargin } : {}) };
    case MetricKind.SAMPLES:
      return {
        kind: "distribution",
        name,
        worse: worseWhen === WorseWhen.DIFFERENT ? "different" : worse,
        margin: own,
        ...(worseWhen === WorseWhen.DIFFERENT ? {} : { tolerance: { part: tolerance, floor: toleranceFloor } }),
      };
    case MetricKind.MEAN:
      return { kind: "bounded", name, low: lower, high: upper, worse, margin: own };
    case MetricKind.COUNT:
      return { kind: "events", name, margin: own };
    default:
      return undefined;
  }
}

/** Tells whether a metric is a user's own. */
export function isUserMetric({ kind }: MetricSpec): boolean {
  return kind === MetricKind.SAMPLES || kind === MetricKind.MEAN || kind === MetricKind.COUNT;
}

/** What a window tells of a user's metric; undefined when it tells nothing, or what cannot be. The sender is not trusted. */
export function toldValue(
  spec: MetricSpec,
  { value: { case: told, value } }: Pick<UserMetric, "value">,
): MetricValue | undefined {
  if (told === "samples") return spec.kind === MetricKind.SAMPLES ? samplesOf(value) : undefined;
  if (told === "moments") return spec.kind === MetricKind.MEAN ? momentsOf(spec, value) : undefined;
  if (told !== "count" || spec.kind !== MetricKind.COUNT) return undefined;
  const { events, requests } = value;
  const isPossible = requests <= MAX_REPORTED && events <= EVENTS_A_REQUEST * requests + EVENTS_BESIDE;
  return isPossible ? { events, exposure: requests } : undefined;
}

/** Restarts of a revision's replicas on a node, by the hours that these were ready. The sender is not trusted. */
export function restartsPerHour({ restarts, replicas, readyMs }: ReplicaExposure): EventCount {
  const hours = Math.min(Number(readyMs), MAX_REPORTED * MS_PER_HOUR) / MS_PER_HOUR;
  return { events: Math.min(restarts, replicas, MAX_REPORTED), exposure: hours };
}

function samplesOf({ bounds, counts, values }: MetricSamples): MetricValue | undefined {
  if (bounds.length === 0) {
    return counts.length === 0 && values.length <= MAX_VALUES && values.every(Number.isFinite) ? values : undefined;
  }
  const ascends = bounds.every(
    (bound, i) => Number.isFinite(bound) && bound > (bounds[i - 1] ?? Number.NEGATIVE_INFINITY),
  );
  const isHistogram = ascends && bounds.length <= MAX_BOUNDS && counts.length === bounds.length + 1;
  return isHistogram && sumOf(counts) <= MAX_REPORTED ? { bounds, counts } : undefined;
}

function momentsOf({ lower, upper }: MetricSpec, { count, sum, sumSquares }: MetricMoments): MetricValue | undefined {
  const slack = 1e-9 * (1 + count * Math.max(Math.abs(lower), Math.abs(upper)));
  const isMean = sum >= count * lower - slack && sum <= count * upper + slack;
  const most = count * Math.max(lower * lower, upper * upper);
  const isSpread = sumSquares * count >= sum * sum * (1 - 1e-9) - 1e-9 && sumSquares <= most * (1 + 1e-9) + 1e-9;
  return count <= MAX_REPORTED && isMean && isSpread ? { count, sum, sumSquares: Math.max(0, sumSquares) } : undefined;
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
