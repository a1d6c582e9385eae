import { latencyOf, totalsOf } from "@kedge/analysis";
import type { Window } from "@kedge/proto";
import type { TrafficMetric } from "./watched-metrics.ts";

/** A step with fewer requests has no rate worth the name. */
export const MIN_REQUESTS = 20;

/** What gateways saw of a deployment in one step. */
export class TrafficSums {
  requests = 0;
  errors = 0;
  /** Answers whose time is known, and the sum of the logarithms of their milliseconds. */
  timed = 0;
  sumOfLogs = 0;

  /** Takes in a revision's part of a window. */
  add(window: Window, revision: number): void {
    const { requests, errors } = totalsOf(window, revision);
    const { count, sumOfLogs } = latencyOf(window, revision);
    this.merge({ requests: Number(requests), errors: Number(errors), timed: count, sumOfLogs });
  }

  merge(other: Pick<TrafficSums, "requests" | "errors" | "timed" | "sumOfLogs">): void {
    this.requests += other.requests;
    this.errors += other.errors;
    this.timed += other.timed;
    this.sumOfLogs += other.sumOfLogs;
  }

  /** Share of the requests that failed, in percent; NaN with too few. */
  get errorPercent(): number {
    return this.requests < MIN_REQUESTS ? Number.NaN : (100 * this.errors) / this.requests;
  }

  /** Geometric mean of the response times; NaN with too few. */
  get middleMs(): number {
    return this.timed < MIN_REQUESTS ? Number.NaN : Math.exp(this.sumOfLogs / this.timed);
  }

  /** As a track's step. */
  values(seconds: number): Partial<Record<TrafficMetric, number>> {
    const rates = { "error rate": this.errorPercent, "response time": this.middleMs };
    return { ...rates, requests: this.requests / Math.max(1, seconds) };
  }
}
