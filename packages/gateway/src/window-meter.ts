import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock } from "@kedge/kernel";
import { type RevisionWindow, RevisionWindowSchema, type Window, WindowSchema } from "@kedge/proto";
import type { SplitEpoch } from "./gateway-plan.ts";
import type { DeploymentStats } from "./gateway-stats.ts";
import { LATENCY_BOUNDS_MS, latencyBucket } from "./latency-bounds.ts";
import type { LogRecord } from "./log-line.ts";

/** How often a deployment without requests still sends a window, all zero. */
const IDLE_WINDOW_MS = 10_000;
const MOST_LABELS = 32;
const OTHER = "other";

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
}

interface OpenWindow {
  readonly split: SplitEpoch;
  fromMs: number;
  readonly revisions: Map<number, RevisionWindow>;
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
  #current: SplitEpoch | undefined;
  #sentMs: number;
  #cancelTick: () => void = () => {};
  #aborted = 0;
  #unserved = 0;
  #redispatched = 0;

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
    this.#openWindow(split);
    this.#arm();
  }

  /** Counts one request under the split it was routed by. */
  record(split: SplitEpoch, record: LogRecord): void {
    if (record.redispatched) this.#redispatched++;
    if (record.end === "client") {
      this.#aborted++;
      return;
    }
    const revision = record.slot === undefined ? 0 : (split.slotRevisions[record.slot] ?? 0);
    if (revision === 0) {
      this.#unserved++;
      return;
    }
    const isError = record.status >= 500 || record.status === 0 || record.end === "cut";
    count(this.#revisionWindow(split, revision), record, isError);
    const total = this.#totals.get(revision) ?? { requests: 0, errors: 0 };
    total.requests++;
    if (isError) total.errors++;
    this.#totals.set(revision, total);
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
      const isEmpty = [...window.revisions.values()].every((revision) => revision.requests === 0);
      if (isEmpty && isCurrent && now - this.#sentMs < IDLE_WINDOW_MS) continue;
      this.#open.delete(epoch);
      if (isCurrent) this.#openWindow(window.split);
      if (!isEmpty || isCurrent) this.#send(window, now);
    }
  }

  #send(window: OpenWindow, now: number): void {
    this.#sentMs = now;
    this.#options.onWindow(
      create(WindowSchema, {
        nodeId: this.#options.nodeId,
        deployment: this.#deployment,
        sequence: this.#options.nextSequence(),
        bootId: this.#options.bootId,
        from: timestampFromMs(window.fromMs),
        to: timestampFromMs(now),
        routeGeneration: BigInt(window.split.generation),
        revisions: [...window.revisions.values()].sort((a, b) => a.revision - b.revision),
      }),
    );
  }

  #openWindow(split: SplitEpoch): OpenWindow {
    const window: OpenWindow = { split, fromMs: this.#options.clock.now(), revisions: new Map() };
    for (const share of split.shares) window.revisions.set(share.revision, emptyWindow(share.revision, share.realised));
    this.#open.set(split.epoch, window);
    return window;
  }

  #revisionWindow(split: SplitEpoch, revision: number): RevisionWindow {
    const { revisions } = this.#open.get(split.epoch) ?? this.#openWindow(split);
    const found = revisions.get(revision) ?? emptyWindow(revision, 0);
    revisions.set(revision, found);
    return found;
  }
}

function emptyWindow(revision: number, basisPoints: number): RevisionWindow {
  return create(RevisionWindowSchema, {
    revision,
    basisPoints,
    latencyMs: { bounds: [...LATENCY_BOUNDS_MS], counts: new Array<number>(LATENCY_BOUNDS_MS.length + 1).fill(0) },
  });
}

function count(window: RevisionWindow, record: LogRecord, isError: boolean): void {
  window.requests++;
  if (isError) window.errors++;
  const counts = window.latencyMs?.counts ?? [];
  const bucket = latencyBucket(record.latencyMs);
  counts[bucket] = (counts[bucket] ?? 0) + 1;
  if (record.label !== undefined) countLabel(window.predictions, record.label);
}

/** At most 32 labels besides "other". */
function countLabel(predictions: { [label: string]: number }, label: string): void {
  const isKnown = Object.hasOwn(predictions, label);
  const key = isKnown || Object.keys(predictions).length < MOST_LABELS ? label : OTHER;
  const before = Object.hasOwn(predictions, key) ? (predictions[key] ?? 0) : 0;
  Object.defineProperty(predictions, key, { value: before + 1, enumerable: true, configurable: true, writable: true });
}
