import type { Heartbeat } from "@kedge/proto";
import { type NodeShare, STEP_MS } from "./deployment-watch.ts";
import { Track } from "./track.ts";
import { NODE_METRICS, type NodeMetric } from "./watched-metrics.ts";
import { type Alarm, WatchedSeries } from "./watched-series.ts";

/** What the detectors watch; the rest is kept for causes. */
const DETECTED = ["load average", "free memory", "slowness", "error excess"] as const;
const MAX_LOAD = 1e6;
/** A load that waits for cores, so many times over, is an overload. */
const OVERLOAD = 2;
/** Less than this share of a node's memory free is scarce. */
const SCARCE_SHARE = 0.1;
const MAX_RESTARTS = 1_000;
/** Of a node that is silent itself while its gateway goes on. */
const MAX_SHARES = 256;

/** An alarm of a node, with the deployment whose share of it was worst. */
export interface NodeAlarm extends Alarm<NodeMetric> {
  readonly deployment: string | undefined;
}

/** Watches a node, in steps of about 10 s that begin with its first heartbeat. */
export class NodeWatch {
  readonly track = new Track<NodeMetric>(NODE_METRICS);
  readonly #series = new Map(DETECTED.map((metric) => [metric, new WatchedSeries<NodeMetric>(metric, this.track)]));
  #startMs: number;
  #beatAtMs: number;
  #values: Partial<Record<NodeMetric, number>> = {};
  #shares: NodeShare[] = [];
  #cores = 1;
  #memoryMib = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#beatAtMs = nowMs;
  }

  isDue(nowMs: number): boolean {
    return nowMs - this.#startMs >= STEP_MS;
  }

  /** Takes in a heartbeat. The sender is not trusted: what cannot be is missing. */
  beat({ loadAverage, freeMemoryMib, capacity }: Heartbeat, nowMs: number): void {
    const gap = Math.max(0, nowMs - this.#beatAtMs) / 1000;
    this.#beatAtMs = nowMs;
    this.#cores = Math.max(1, (capacity?.cpuMilli ?? 0) / 1000);
    this.#memoryMib = capacity?.memoryMib ?? 0;
    this.#values["heartbeat gap"] = Math.max(gap, this.#values["heartbeat gap"] ?? 0);
    this.#values["load average"] = loadAverage >= 0 && loadAverage <= MAX_LOAD ? loadAverage : Number.NaN;
    // Agents that cannot tell say 0.
    const isTold = freeMemoryMib > 0 && freeMemoryMib <= this.#memoryMib;
    this.#values["free memory"] = isTold ? freeMemoryMib : Number.NaN;
    this.#values["replica restarts"] ??= 0;
  }

  /** Counts restarts of replicas in this step. */
  restarted(count: number): void {
    this.#values["replica restarts"] = Math.min(MAX_RESTARTS, (this.#values["replica restarts"] ?? 0) + count);
  }

  /** Takes in how the node's share of a deployment was. */
  share(share: NodeShare): void {
    if (this.#shares.length < MAX_SHARES) this.#shares.push(share);
  }

  /** Ends the step and begins the next. */
  close(nowMs: number): NodeAlarm[] {
    const atMs = this.#startMs;
    const shares = this.#shares;
    const values: Partial<Record<NodeMetric, number>> = {
      ...this.#values,
      slowness: mean(shares, ({ slowness }) => slowness),
      "error excess": mean(shares, ({ errorExcess }) => errorExcess),
    };
    this.#values = {};
    this.#shares = [];
    this.#startMs = nowMs;
    this.track.push(atMs, values);
    return DETECTED.flatMap((metric) => {
      const value = values[metric] ?? Number.NaN;
      const alarm = this.#series.get(metric)?.observe(atMs, value, this.#matters(metric, value));
      return alarm === undefined ? [] : [{ ...alarm, deployment: worstOf(metric, shares) }];
    });
  }

  /** A load that the cores carry soon and memory that is plenty are no trouble, however unusual. */
  #matters(metric: NodeMetric, value: number): boolean {
    if (metric === "load average") return value > OVERLOAD * this.#cores;
    return metric !== "free memory" || value < SCARCE_SHARE * this.#memoryMib;
  }
}

/** Mean by requests of what is known; NaN when nothing is. */
function mean(shares: readonly NodeShare[], figureOf: (share: NodeShare) => number): number {
  let sum = 0;
  let weight = 0;
  for (const share of shares) {
    const value = figureOf(share);
    if (!Number.isFinite(value)) continue;
    sum += share.requests * value;
    weight += share.requests;
  }
  return sum / weight;
}

function worstOf(metric: NodeMetric, shares: readonly NodeShare[]): string | undefined {
  const badness = ({ requests, slowness, errorExcess }: NodeShare): number =>
    requests * (metric === "slowness" ? slowness - 1 : errorExcess) || 0;
  return shares.toSorted((a, b) => badness(b) - badness(a))[0]?.deployment;
}
