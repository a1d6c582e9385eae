import type { Deployment, Window } from "@kedge/proto";
import { BurnWatch } from "./burn-watch.ts";
import { PredictionShift } from "./prediction-shift.ts";
import { Track } from "./track.ts";
import { MIN_REQUESTS, TrafficSums } from "./traffic-sums.ts";
import { TRAFFIC_METRICS, type TrafficMetric } from "./watched-metrics.ts";
import { type Alarm, WatchedSeries } from "./watched-series.ts";

/** A step of a deployment or node. */
export const STEP_MS = 10_000;
/** The budget is looked at with every window, but no more often than this. */
const BURN_EVERY_MS = 1_000;
/** A node that sent nothing for so long is forgotten. */
const NODE_MEMORY_MS = 20 * 60_000;
/** So few failed requests are nobody's trouble. */
const MIN_ERRORS = 10;
const MAX_REPORTED = 10_000_000;

/** What a node's share of a deployment was like in a step, beside the other nodes'. */
export interface NodeShare {
  readonly deployment: string;
  readonly requests: number;
  /** Times as slow as the others; NaN: not known. */
  readonly slowness: number;
  /** Percent of the requests that failed beyond what failed at the others; NaN: not known. */
  readonly errorExcess: number;
}

/** A step that is over. */
export interface ClosedStep {
  readonly alarms: readonly Alarm<TrafficMetric>[];
  readonly shares: ReadonlyMap<string, NodeShare>;
}

interface NodePart {
  sums: TrafficSums;
  readonly track: Track<TrafficMetric>;
  seenAtMs: number;
}

/**
 * Watches the revision of a deployment that is in force, in steps of about 10 s: on all nodes by detectors, and on each
 * by the numbers alone, from which nodes are compared. The steps of a deployment begin when its first window comes, so
 * that deployments do not all end theirs at once.
 */
export class DeploymentWatch {
  readonly track = new Track<TrafficMetric>(TRAFFIC_METRICS);
  readonly burn = new BurnWatch();
  readonly #name: string;
  readonly #series = new Map(TRAFFIC_METRICS.map((metric) => [metric, new WatchedSeries(metric, this.track)]));
  readonly #shift = new PredictionShift();
  readonly #nodes = new Map<string, NodePart>();
  #startMs: number;
  #revision: number;
  #sums = new TrafficSums();
  /** Of all revisions. */
  #requests = 0;
  #windows = 0;
  #burnAtMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, revision: number, nowMs: number) {
    this.#name = name;
    this.#revision = revision;
    this.#startMs = nowMs;
  }

  /** The revision that is watched. */
  get revision(): number {
    return this.#revision;
  }

  /** Ids of the nodes that send windows. */
  get nodeIds(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** What is known of the deployment on a node. */
  nodeTrack(nodeId: string): Track<TrafficMetric> | undefined {
    return this.#nodes.get(nodeId)?.track;
  }

  /** Begins the step anew when another revision is in force, so that no step has both. */
  follow(revision: number, nowMs: number): void {
    if (revision === this.#revision) return;
    this.#revision = revision;
    this.burn.restart();
    this.#begin(nowMs);
  }

  isDue(nowMs: number): boolean {
    return nowMs - this.#startMs >= STEP_MS;
  }

  /** Takes in a window. */
  add(deployment: Deployment, window: Window, nowMs: number): void {
    const sums = new TrafficSums();
    sums.add(window, this.#revision);
    this.#sums.merge(sums);
    this.#shift.add(window, this.#revision);
    for (const { requests } of [...window.revisions, ...window.matched]) {
      this.#requests += Math.min(requests, MAX_REPORTED);
    }
    this.#windows += 1;
    const part = this.#node(window.nodeId, nowMs);
    part.sums.merge(sums);
    part.seenAtMs = nowMs;
    if (nowMs - this.#burnAtMs < BURN_EVERY_MS) return;
    this.#burnAtMs = nowMs;
    this.burn.look(deployment, this.#requestsUntil(nowMs));
  }

  /** Ends the step and begins the next. */
  close(nowMs: number): ClosedStep {
    const atMs = this.#startMs;
    const shares = this.#closeNodes(atMs, nowMs);
    const { errors } = this.#sums;
    const values = this.#values(nowMs);
    if (this.#windows > 0) {
      this.track.push(atMs, values);
      this.burn.push(this.#requestsUntil(nowMs));
    }
    const alarms = TRAFFIC_METRICS.flatMap((metric) => {
      const matters = metric !== "error rate" || errors >= MIN_ERRORS;
      return this.#series.get(metric)?.observe(atMs, values[metric] ?? Number.NaN, matters) ?? [];
    });
    this.#begin(nowMs);
    return { alarms, shares };
  }

  /** Nothing at all means that nobody told, not that there was no traffic. */
  #values(nowMs: number): Partial<Record<TrafficMetric, number>> {
    if (this.#windows === 0) return {};
    const seconds = Math.max(1_000, nowMs - this.#startMs) / 1000;
    return {
      ...this.#sums.values(seconds),
      requests: this.#requests / seconds,
      "prediction shift": this.#shift.close(),
    };
  }

  #closeNodes(atMs: number, nowMs: number): Map<string, NodeShare> {
    const shares = new Map<string, NodeShare>();
    const seconds = (nowMs - atMs) / 1000;
    for (const [nodeId, { sums, track, seenAtMs }] of this.#nodes) {
      if (nowMs - seenAtMs > NODE_MEMORY_MS) this.#nodes.delete(nodeId);
      if (seenAtMs < atMs) continue;
      track.push(atMs, sums.values(seconds));
      if (sums.requests >= MIN_REQUESTS) shares.set(nodeId, shareOf(this.#name, sums, this.#sums));
    }
    return shares;
  }

  #begin(nowMs: number): void {
    this.#startMs = nowMs;
    this.#sums = new TrafficSums();
    this.#requests = 0;
    this.#windows = 0;
    for (const part of this.#nodes.values()) part.sums = new TrafficSums();
  }

  #requestsUntil(nowMs: number) {
    const { requests, errors } = this.#sums;
    const seconds = Math.max(1, nowMs - this.#startMs) / 1000;
    return { endEpochSeconds: nowMs / 1000, seconds, requests, errors };
  }

  #node(nodeId: string, nowMs: number): NodePart {
    const known = this.#nodes.get(nodeId);
    if (known !== undefined) return known;
    const part = { sums: new TrafficSums(), track: new Track<TrafficMetric>(TRAFFIC_METRICS), seenAtMs: nowMs };
    this.#nodes.set(nodeId, part);
    return part;
  }
}

function shareOf(deployment: string, own: TrafficSums, all: TrafficSums): NodeShare {
  const others = new TrafficSums();
  others.merge(all);
  const { requests, errors, timed, sumOfLogs } = own;
  others.merge({ requests: -requests, errors: -errors, timed: -timed, sumOfLogs: -sumOfLogs });
  const slowness = own.middleMs / others.middleMs;
  return { deployment, requests, slowness, errorExcess: own.errorPercent - others.errorPercent };
}
