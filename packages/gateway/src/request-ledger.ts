import type { GatewayPlan, SplitEpoch } from "./gateway-plan.ts";
import type { DeploymentStats } from "./gateway-stats.ts";
import { LogContinuity } from "./log-continuity.ts";
import { parseLogLine } from "./log-line.ts";
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
  #unattributed = 0;
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
