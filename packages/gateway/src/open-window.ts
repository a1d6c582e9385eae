import { create } from "@bufbuild/protobuf";
import { type RevisionWindow, RevisionWindowSchema } from "@kedge/proto";
import type { SplitEpoch } from "./gateway-plan.ts";
import { LATENCY_BOUNDS_MS, latencyBucket } from "./latency-bounds.ts";
import type { LogRecord } from "./log-line.ts";
import { UserSketch } from "./user-sketch.ts";
import type { ArmDetail, ShadowDetail, WindowDetail } from "./window-detail.ts";

const MOST_LABELS = 32;
const OTHER = "other";

interface Arm {
  readonly window: RevisionWindow;
  retried: number;
  warming: number;
  users: UserSketch | undefined;
  usersWithErrors: UserSketch | undefined;
}

type Shadow = { -readonly [Key in keyof ShadowDetail]: ShadowDetail[Key] };

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
  readonly #shadows = new Map<number, Shadow>();
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
    if (record.kind === "matched") this.#matchedWindow(revision, record);
    else if (slot !== undefined && this.split.warmingSlots.includes(slot)) this.#arm(revision).warming++;
    else this.#countArm(this.#arm(revision), record);
  }

  /** Counts the answer to a copy. */
  countShadow(record: LogRecord, revision: number): void {
    this.#requests++;
    countRequest(this.#shadow(revision).answers, record);
  }

  /** Counts a copy that was wanted and not made. */
  countDropped(why: "tooLarge" | "busy"): void {
    this.#requests++;
    if (this.split.mirrorRevision > 0) this.#shadow(this.split.mirrorRevision)[why]++;
  }

  /** Counts a pair of answers. */
  compare(user: LogRecord, shadow: LogRecord): void {
    this.#requests++;
    const sums = this.#shadow(this.split.mirrorRevision);
    sums.compared++;
    if (user.status !== shadow.status || user.end !== shadow.end) sums.differentStatus++;
    if (user.label !== undefined && shadow.label !== undefined && user.label !== shadow.label)
      sums.differentPrediction++;
    if (shadow.latencyMs > user.latencyMs) sums.slower++;
  }

  /** Counts by revision, in their order. */
  revisions(): RevisionWindow[] {
    return inOrder([...this.#arms.values()].map(({ window }) => window));
  }

  detail(): WindowDetail {
    return {
      arms: [...this.#arms.values()].map(armDetail),
      matched: inOrder([...this.#matched.values()]),
      shadows: [...this.#shadows.values()],
    };
  }

  #countArm(arm: Arm, record: LogRecord): void {
    countRequest(arm.window, record);
    if (record.retried) arm.retried++;
    if (record.user === undefined) return;
    arm.users ??= new UserSketch();
    arm.users.add(record.user);
    if (!isFailure(record)) return;
    arm.usersWithErrors ??= new UserSketch();
    arm.usersWithErrors.add(record.user);
  }

  #arm(revision: number): Arm {
    const judged = this.split.shares.find((share) => share.revision === revision)?.judged ?? 0;
    return entryOf(this.#arms, revision, () => ({
      window: emptyWindow(revision, judged),
      retried: 0,
      warming: 0,
      users: undefined,
      usersWithErrors: undefined,
    }));
  }

  #matchedWindow(revision: number, record: LogRecord): void {
    countRequest(
      entryOf(this.#matched, revision, () => emptyWindow(revision, 0)),
      record,
    );
  }

  #shadow(revision: number): Shadow {
    return entryOf(this.#shadows, revision, () => ({
      answers: emptyWindow(revision, 0),
      ...{ tooLarge: 0, busy: 0, compared: 0, differentStatus: 0, differentPrediction: 0, slower: 0 },
    }));
  }
}

function armDetail({ window, retried, warming, users, usersWithErrors }: Arm): ArmDetail {
  const none = users && new UserSketch();
  const failed = usersWithErrors ?? none;
  return {
    ...{ revision: window.revision, retried, warming },
    ...(users && failed ? { users: users.toBytes(), usersWithErrors: failed.toBytes() } : {}),
  };
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
