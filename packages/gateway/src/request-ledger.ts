import type { GatewayPlan, SplitEpoch } from "./gateway-plan.ts";
import type { DeploymentStats } from "./gateway-stats.ts";
import { LogContinuity } from "./log-continuity.ts";
import { parseLogLine, parseTrackedKey, trackedKey } from "./log-line.ts";
import { SilentFailures, type TrackedRequests } from "./silent-failures.ts";
import { WindowMeter, type WindowSource } from "./window-meter.ts";

/** Splits that are remembered, so that requests still running under them are counted when they end. */
const REMEMBERED_SPLITS = 256;
const IS_OF_REQUEST = /^[gm]\d/;

/** What a ledger needs. */
export interface LedgerOptions extends WindowSource {
  /** A replica has answered as many requests as it takes to be warm. */
  onWarm(): void;
}

/** Gives every log line to the meter of its deployment, under the split the request was routed by. */
export class RequestLedger {
  readonly #options: LedgerOptions;
  readonly #splits = new Map<number, SplitEpoch>();
  readonly #meters = new Map<string, WindowMeter>();
  readonly #continuity = new LogContinuity();
  readonly #silent = new SilentFailures();
  #awaited: { readonly mark: number; readonly tracked: ReadonlyMap<string, TrackedRequests> } | undefined;
  #unattributed = 0;
  #audits = 0;
  /** Outlives the meters: one that is made anew must not repeat numbers, or its windows count as known. */
  #sequence = 0n;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Log lines that could not be read, or that belong to a split long gone. */
  get unattributed(): number {
    return this.#unattributed;
  }

  /** Log lines that HAProxy wrote and that did not arrive. */
  get lost(): number {
    return this.#continuity.lost;
  }

  /** How often HAProxy's own counts were compared with its log. */
  get audits(): number {
    return this.#audits;
  }

  /** Makes splits known that lines may refer to. Call before HAProxy learns of them. */
  remember(splits: Iterable<SplitEpoch>): void {
    for (const split of splits) this.#splits.set(split.epoch, split);
  }

  /** Takes the splits of a plan as the current ones; deployments that are not in it are counted no more. */
  use(plan: GatewayPlan): void {
    const current = new Map<string, SplitEpoch>();
    for (const { split } of plan.backends) if (split) current.set(split.deployment, split);
    for (const [deployment, meter] of this.#meters) {
      if (current.has(deployment)) continue;
      meter.stop();
      this.#meters.delete(deployment);
    }
    for (const split of current.values()) this.#meter(split.deployment).use(split);
    this.#forget(new Set([...current.values()].map((split) => split.epoch)));
  }

  /** Counts a log line. HAProxy's own notices and requests that were no HTTP belong to no deployment. Never throws. */
  record(line: string): void {
    if (!IS_OF_REQUEST.test(line)) return;
    const record = parseLogLine(line);
    if (record === undefined) {
      this.#unattributed++;
      return;
    }
    this.#continuity.arrived(record.stream, record.number);
    const key = trackedKey(record);
    if (key !== undefined) this.#silent.line(key);
    else if (record.user !== undefined && record.user === this.#awaited?.mark) this.#compare(this.#awaited.tracked);
    if (record.epoch === undefined) return;
    const split = this.#splits.get(record.epoch);
    const meter = split && this.#meters.get(split.deployment);
    if (split && meter) meter.record(split, record);
    else this.#unattributed++;
  }

  /** Requests that a replica has answered since it is cold. */
  answered(deployment: string, replicaId: string): number {
    return this.#meters.get(deployment)?.answered(replicaId) ?? 0;
  }

  /**
   * Looks for requests without a log line once the line with this mark arrives. What HAProxy has counted must have been read
   * before the mark was left.
   */
  compareAtMark(mark: number, tracked: ReadonlyMap<string, TrackedRequests>): void {
    this.#awaited = { mark, tracked };
  }

  /** To be called before HAProxy is asked what it has counted. */
  prepareToCompare(): void {
    this.#silent.prepare();
  }

  /** HAProxy counts from 0 again. */
  countsAnew(): void {
    this.#awaited = undefined;
    this.#silent.beginAnew();
  }

  #compare(tracked: ReadonlyMap<string, TrackedRequests>): void {
    this.#awaited = undefined;
    this.#audits++;
    for (const [key, count] of this.#silent.find(tracked, this.lost + this.#unattributed)) {
      const request = parseTrackedKey(key);
      const split = request && this.#splits.get(request.epoch);
      if (request && split) this.#meters.get(split.deployment)?.recordSilent(split, request, count);
    }
    this.#silent.forget((key) => this.#splits.has(parseTrackedKey(key)?.epoch ?? 0));
  }

  /** The splits it knows, oldest first; to be kept for the next process. */
  remembered(): SplitEpoch[] {
    return [...this.#splits.values()];
  }

  /** Totals by deployment. */
  stats(): DeploymentStats[] {
    return [...this.#meters.values()].map((meter) => meter.stats());
  }

  /** Closes all windows. May be called twice. */
  stop(): void {
    for (const meter of this.#meters.values()) meter.stop();
  }

  #meter(deployment: string): WindowMeter {
    const meter = this.#meters.get(deployment) ?? this.#newMeter(deployment);
    this.#meters.set(deployment, meter);
    return meter;
  }

  #newMeter(deployment: string): WindowMeter {
    return new WindowMeter(deployment, { ...this.#options, nextSequence: () => ++this.#sequence });
  }

  #forget(current: ReadonlySet<number>): void {
    for (const epoch of this.#splits.keys()) {
      if (this.#splits.size <= REMEMBERED_SPLITS) return;
      if (!current.has(epoch)) this.#splits.delete(epoch);
    }
  }
}
