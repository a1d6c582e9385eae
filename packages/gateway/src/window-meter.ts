import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock } from "@kedge/kernel";
import { type Window, WindowSchema } from "@kedge/proto";
import type { SplitEpoch } from "./gateway-plan.ts";
import type { DeploymentStats } from "./gateway-stats.ts";
import type { LogRecord } from "./log-line.ts";
import { isFailure, OpenWindow } from "./open-window.ts";
import { ShadowPairs } from "./shadow-pairs.ts";

/** How often a deployment without requests still sends a window, all zero. */
const IDLE_WINDOW_MS = 10_000;

/** Where windows come from and go to. */
export interface WindowSource {
  readonly nodeId: string;
  readonly bootId: string;
  readonly clock: Clock;
  onWindow(window: Window): void;
}

/** What a meter needs. */
export interface WindowMeterOptions extends WindowSource {
  /** Numbers grow within a boot of the agent, also when a deployment goes and comes back. */
  nextSequence(): bigint;
  /** A replica has answered as many requests as it takes to be warm. */
  onWarm(): void;
}

/**
 * Sums one deployment's requests into windows. There is one open window for each split, so none ever mixes two: what
 * was routed by an earlier split and ends late is sent as a window of that split.
 */
export class WindowMeter {
  readonly #options: WindowMeterOptions;
  readonly #deployment: string;
  readonly #open = new Map<number, OpenWindow>();
  readonly #totals = new Map<number, { requests: number; errors: number }>();
  readonly #pairs = new ShadowPairs();
  /** Requests answered, by replica that is cold. */
  readonly #answered = new Map<string, number>();
  #current: SplitEpoch | undefined;
  #sentMs: number;
  #cancelTick: () => void = () => {};
  #aborted = 0;
  #unserved = 0;
  #redispatched = 0;
  #previewed = 0;
  #silent = 0;

  constructor(deployment: string, options: WindowMeterOptions) {
    this.#deployment = deployment;
    this.#options = options;
    this.#sentMs = options.clock.now();
  }

  /** Makes this split the current one. The running window is closed first. */
  use(split: SplitEpoch): void {
    if (this.#current?.epoch === split.epoch) return;
    this.#flush();
    this.#current = split;
    const cold = new Set(split.cold.map(({ replicaId }) => replicaId));
    for (const replicaId of this.#answered.keys()) if (!cold.has(replicaId)) this.#answered.delete(replicaId);
    this.#open.set(split.epoch, new OpenWindow(split, this.#options.clock.now()));
    this.#arm();
  }

  /** Counts one request, or one copy of a request, under the split it was routed by. */
  record(split: SplitEpoch, record: LogRecord): void {
    if (record.redispatched) this.#redispatched++;
    if (record.kind === "shadow") this.#recordShadow(split, record);
    else this.#recordRequest(split, record);
  }

  #recordRequest(split: SplitEpoch, record: LogRecord): void {
    if (record.end === "client") {
      this.#aborted++;
      return;
    }
    const revision = revisionOf(split, record);
    if (revision === 0) {
      this.#unserved++;
      return;
    }
    this.#total(revision, record);
    this.#warm(split, record);
    if (record.kind === "preview") this.#previewed++;
    else this.#window(split).count(record, revision);
    this.#recordCopy(split, record);
  }

  /** Counts requests that nobody answered and that have no log line. Copies have a connection each, so there are none. */
  recordSilent(split: SplitEpoch, { chosenSlot, kind }: Pick<LogRecord, "chosenSlot" | "kind">, count: number): void {
    const only = split.shares.length === 1 ? split.shares[0]?.revision : undefined;
    const revision = (chosenSlot === undefined ? only : split.slotRevisions[chosenSlot]) ?? 0;
    if (revision === 0 || kind === "shadow") return;
    this.#silent += count;
    const total = this.#totals.get(revision) ?? { requests: 0, errors: 0 };
    this.#totals.set(revision, { requests: total.requests + count, errors: total.errors + count });
    if (kind === "preview") this.#previewed += count;
    else this.#window(split).countSilent({ chosenSlot, kind }, revision, count);
  }

  #recordCopy(split: SplitEpoch, record: LogRecord): void {
    const { copy } = record;
    if (copy === undefined) return;
    const revision = split.slotRevisions[copy.slot] ?? 0;
    if (copy.number === "large") this.#window(split).countDropped(revision, "tooLarge");
    else if (copy.number === "busy") this.#window(split).countDropped(revision, "busy");
    else this.#pair(split, record);
  }

  #recordShadow(split: SplitEpoch, record: LogRecord): void {
    const revision = revisionOf(split, record);
    if (revision === 0) return;
    // Its client is HAProxy, which gives up a copy only when it hangs.
    const answer: LogRecord = record.end === "client" ? { ...record, end: "cut" } : record;
    this.#window(split).countShadow(answer, revision);
    this.#pair(split, answer);
  }

  #pair(split: SplitEpoch, record: LogRecord): void {
    const pair = this.#pairs.add(record);
    const revision = split.slotRevisions[record.copy?.slot ?? -1] ?? 0;
    if (pair && revision > 0) this.#window(split).compare(revision, pair);
  }

  /** An answer by another replica, or none, warms nothing up. */
  #warm(split: SplitEpoch, record: LogRecord): void {
    const cold = record.retried ? undefined : split.cold.find(({ slot }) => slot === record.slot);
    if (cold === undefined || !this.#current?.cold.some(({ replicaId }) => replicaId === cold.replicaId)) return;
    const answered = this.answered(cold.replicaId) + 1;
    this.#answered.set(cold.replicaId, answered);
    if (answered === cold.warmAfter) this.#options.onWarm();
  }

  #total(revision: number, record: LogRecord): void {
    const total = this.#totals.get(revision) ?? { requests: 0, errors: 0 };
    total.requests++;
    if (isFailure(record)) total.errors++;
    this.#totals.set(revision, total);
  }

  /** Requests that a replica has answered since it is cold. */
  answered(replicaId: string): number {
    return this.#answered.get(replicaId) ?? 0;
  }

  /** Closes all windows and counts no more. May be called twice. */
  stop(): void {
    this.#cancelTick();
    this.#flush();
    this.#current = undefined;
  }

  /** Totals since this meter was made. */
  stats(): DeploymentStats {
    const shares = new Map(this.#current?.shares.map((share) => [share.revision, share.basisPoints]));
    const revisions = [...new Set([...shares.keys(), ...this.#totals.keys()])].sort((a, b) => a - b);
    return {
      deployment: this.#deployment,
      revisions: revisions.map((revision) => ({
        revision,
        basisPoints: shares.get(revision) ?? 0,
        ...(this.#totals.get(revision) ?? { requests: 0, errors: 0 }),
      })),
      aborted: this.#aborted,
      unserved: this.#unserved,
      redispatched: this.#redispatched,
      previewed: this.#previewed,
      silent: this.#silent,
    };
  }

  #arm(): void {
    this.#cancelTick();
    if (this.#current === undefined) return;
    this.#cancelTick = this.#options.clock.after(this.#current.windowMs, () => {
      this.#flush();
      this.#arm();
    });
  }

  #flush(): void {
    const now = this.#options.clock.now();
    for (const [epoch, window] of this.#open) {
      const isCurrent = epoch === this.#current?.epoch;
      if (window.isEmpty && isCurrent && now - this.#sentMs < IDLE_WINDOW_MS) continue;
      this.#open.delete(epoch);
      if (isCurrent) this.#open.set(epoch, new OpenWindow(window.split, now));
      if (!window.isEmpty || isCurrent) this.#send(window, now);
    }
  }

  #send(window: OpenWindow, now: number): void {
    this.#sentMs = now;
    const message = create(WindowSchema, {
      nodeId: this.#options.nodeId,
      deployment: this.#deployment,
      sequence: this.#options.nextSequence(),
      bootId: this.#options.bootId,
      from: timestampFromMs(window.fromMs),
      to: timestampFromMs(now),
      routeGeneration: BigInt(window.split.generation),
      ...window.counts(),
    });
    this.#options.onWindow(message);
  }

  #window(split: SplitEpoch): OpenWindow {
    const window = this.#open.get(split.epoch) ?? new OpenWindow(split, this.#options.clock.now());
    this.#open.set(split.epoch, window);
    return window;
  }
}

/** The revision that a request was meant for, also when another one answered it in the end; 0 for none. */
function revisionOf(split: SplitEpoch, record: LogRecord): number {
  const slot = record.chosenSlot ?? record.slot;
  return slot === undefined ? 0 : (split.slotRevisions[slot] ?? 0);
}
