import { create } from "@bufbuild/protobuf";
import {
  type RevisionWindow,
  RevisionWindowSchema,
  type ShadowWindow,
  ShadowWindowSchema,
  type Window,
} from "@kedge/proto";
import type { SplitEpoch } from "./gateway-plan.ts";
import { LATENCY_BOUNDS_MS, latencyBucket } from "./latency-bounds.ts";
import type { LogRecord } from "./log-line.ts";
import type { ShadowPair } from "./shadow-pairs.ts";
import { UserSketch } from "./user-sketch.ts";

const MOST_LABELS = 32;
const OTHER = "other";

interface Arm {
  readonly window: RevisionWindow;
  readonly users: UserSketch;
  readonly usersWithErrors: UserSketch;
}

/** A request that its revision did not answer well: 5xx, no answer, one cut short, or another server's after its own's. */
export function isFailure(record: LogRecord): boolean {
  return record.status >= 500 || record.status === 0 || record.end === "cut" || record.retried;
}

/** What was seen under one split since `fromMs`. */
export class OpenWindow {
  readonly split: SplitEpoch;
  readonly fromMs: number;
  readonly #arms = new Map<number, Arm>();
  readonly #matched = new Map<number, RevisionWindow>();
  readonly #shadows = new Map<number, ShadowWindow>();
  #requests = 0;

  constructor(split: SplitEpoch, fromMs: number) {
    this.split = split;
    this.fromMs = fromMs;
    for (const { revision } of split.shares) this.#arm(revision);
  }

  /** Nothing was seen. */
  get isEmpty(): boolean {
    return this.#requests === 0;
  }

  /** Counts a request that a user sent to a revision, by the split or by a match rule. */
  count(record: LogRecord, revision: number): void {
    this.#requests++;
    const slot = record.chosenSlot ?? record.slot;
    if (record.kind === "matched") countRequest(this.#matchedOf(revision), record);
    else if (slot !== undefined && this.split.warmingSlots.includes(slot)) this.#arm(revision).window.warming++;
    else this.#countArm(this.#arm(revision), record);
  }

  /** Counts requests that nobody answered; how long they took nobody knows. */
  countSilent({ chosenSlot, kind }: Pick<LogRecord, "chosenSlot" | "kind">, revision: number, count: number): void {
    this.#requests += count;
    const isWarming = chosenSlot !== undefined && this.split.warmingSlots.includes(chosenSlot);
    if (kind !== "matched" && isWarming) {
      this.#arm(revision).window.warming += count;
      return;
    }
    const window = kind === "matched" ? this.#matchedOf(revision) : this.#arm(revision).window;
    window.requests += count;
    window.errors += count;
  }

  /** Counts the answer to a copy. */
  countShadow(record: LogRecord, revision: number): void {
    this.#requests++;
    const { answers } = this.#shadow(revision);
    if (answers) countRequest(answers, record);
  }

  /** Counts a copy that was wanted and not made. */
  countDropped(revision: number, why: "tooLarge" | "busy"): void {
    this.#requests++;
    if (revision > 0) this.#shadow(revision)[why]++;
  }

  /** Counts a pair of answers. */
  compare(revision: number, { user, shadow }: ShadowPair): void {
    this.#requests++;
    const sums = this.#shadow(revision);
    const isOtherStatus = user.status !== shadow.status || user.end !== shadow.end;
    const isOtherLabel = user.label !== undefined && shadow.label !== undefined && user.label !== shadow.label;
    sums.compared++;
    if (isOtherStatus || isOtherLabel) sums.differing++;
    if (isOtherLabel) sums.differentPredictions++;
    if (shadow.latencyMs > user.latencyMs) sums.slower++;
  }

  /** What a window message tells, by revision in their order. */
  counts(): Pick<Window, "revisions" | "matched" | "shadows"> {
    const revisions = [...this.#arms.values()].map(({ window, users, usersWithErrors }) => {
      if (users.count() === 0) return window;
      return { ...window, users: users.toBytes(), usersWithErrors: usersWithErrors.toBytes() };
    });
    return {
      revisions: inOrder(revisions),
      matched: inOrder([...this.#matched.values()]),
      shadows: [...this.#shadows.values()],
    };
  }

  #countArm({ window, users, usersWithErrors }: Arm, record: LogRecord): void {
    countRequest(window, record);
    if (record.retried) window.retried++;
    if (record.user === undefined) return;
    users.add(record.user);
    if (isFailure(record)) usersWithErrors.add(record.user);
  }

  #arm(revision: number): Arm {
    return entryOf(this.#arms, revision, () => {
      const judged = this.split.shares.find((share) => share.revision === revision)?.judged ?? 0;
      return {
        window: emptyWindow(revision, judged),
        users: new UserSketch(),
        usersWithErrors: new UserSketch(),
      };
    });
  }

  #matchedOf(revision: number): RevisionWindow {
    return entryOf(this.#matched, revision, () => emptyWindow(revision, 0));
  }

  #shadow(revision: number): ShadowWindow {
    const make = () => create(ShadowWindowSchema, { answers: emptyWindow(revision, 0) });
    return entryOf(this.#shadows, revision, make);
  }
}

function entryOf<T>(map: Map<number, T>, revision: number, make: () => T): T {
  const found = map.get(revision) ?? make();
  map.set(revision, found);
  return found;
}

function inOrder(windows: RevisionWindow[]): RevisionWindow[] {
  return windows.sort((a, b) => a.revision - b.revision);
}

function emptyWindow(revision: number, basisPoints: number): RevisionWindow {
  return create(RevisionWindowSchema, {
    revision,
    basisPoints,
    latencyMs: { bounds: [...LATENCY_BOUNDS_MS], counts: new Array<number>(LATENCY_BOUNDS_MS.length + 1).fill(0) },
  });
}

function countRequest(window: RevisionWindow, record: LogRecord): void {
  window.requests++;
  if (isFailure(record)) window.errors++;
  const counts = window.latencyMs?.counts ?? [];
  const bucket = latencyBucket(record.latencyMs);
  counts[bucket] = (counts[bucket] ?? 0) + 1;
  // After a retry the label is another server's, maybe another revision's.
  if (record.label !== undefined && !record.retried) countLabel(window.predictions, record.label);
}

/** At most 32 labels besides "other". */
function countLabel(predictions: { [label: string]: number }, label: string): void {
  const isKnown = Object.hasOwn(predictions, label);
  const key = isKnown || Object.keys(predictions).length < MOST_LABELS ? label : OTHER;
  const before = Object.hasOwn(predictions, key) ? (predictions[key] ?? 0) : 0;
  Object.defineProperty(predictions, key, { value: before + 1, enumerable: true, configurable: true, writable: true });
}
