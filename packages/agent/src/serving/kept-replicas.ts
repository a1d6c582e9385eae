import type { Clock } from "@kedge/kernel";
import { type Assignment, type LocalDecision, LocalDecisionKind, type ReplicaAssignment } from "@kedge/proto";

interface Kept {
  readonly replica: ReplicaAssignment;
  readonly untilMs: number;
}

/** Long enough for a controller that hears of the decision to assign them again. */
const KEEP_MS = 30_000;

/**
 * Replicas that this node went back to by itself and that an assignment takes away which cannot have known of it: the
 * controller had promoted the new revision meanwhile. They serve on for 30 s, in which it hears of the decision.
 */
export class KeptReplicas {
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  readonly #kept = new Map<string, Kept>();
  #cancel: () => void = () => {};

  constructor({ clock, onExpired }: { readonly clock: Clock; readonly onExpired: () => void }) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** All that is to run now: what the next assignment says, and what is kept beside it. */
  follow(
    previous: Assignment | undefined,
    next: Assignment,
    decisions: readonly LocalDecision[],
  ): readonly ReplicaAssignment[] {
    const nowMs = this.#clock.monotonic();
    const assigned = new Set(next.replicas.map(({ replicaId }) => replicaId));
    for (const replica of previous?.replicas ?? []) {
      const isNeeded = !assigned.has(replica.replicaId) && decisions.some((each) => isGoneBackTo(replica, each, next));
      if (isNeeded) this.#kept.set(replica.replicaId, { replica, untilMs: nowMs + KEEP_MS });
    }
    for (const [id, { untilMs }] of this.#kept) if (assigned.has(id) || untilMs <= nowMs) this.#kept.delete(id);
    this.#plan(nowMs);
    return [...next.replicas, ...[...this.#kept.values()].map(({ replica }) => replica)];
  }

  stop(): void {
    this.#cancel();
  }

  #plan(nowMs: number): void {
    this.#cancel();
    const first = Math.min(...[...this.#kept.values()].map(({ untilMs }) => untilMs));
    if (Number.isFinite(first)) this.#cancel = this.#clock.after(first - nowMs + 1, this.#onExpired);
  }
}

/** Only beside the revision that it was left for: without that there is nothing to be kept from. */
function isGoneBackTo(
  { deployment, revision }: ReplicaAssignment,
  decision: LocalDecision,
  { replicas }: Assignment,
): boolean {
  if (decision.kind !== LocalDecisionKind.ROLLBACK || decision.deployment !== deployment) return false;
  const isLeftHere = replicas.some((each) => each.deployment === deployment && each.revision === decision.revision);
  return isLeftHere && decision.fromRevision === revision;
}
