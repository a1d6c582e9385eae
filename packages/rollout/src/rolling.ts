import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CountOrPercent, RollingProgressSchema, type Rollout, RolloutState } from "@kedge/proto";
import { countsOf } from "./capacity.ts";
import type { ReplicaView } from "./observation.ts";

/** Replicas at full scale; 0 while the world does not say. */
export function fullScale(rollout: Rollout, replicas: ReplicaView): number {
  return Math.max(countsOf(replicas, rollout.toRevision).desired, countsOf(replicas, rollout.fromRevision).desired);
}

/** Ready replicas on each side, without those that are on their way out. */
export function rollingReady(rollout: Rollout, replicas: ReplicaView): { oldReady: number; newReady: number } {
  const { oldTarget = 0, newTarget = 0 } = rollout.rolling ?? {};
  return {
    oldReady: Math.min(countsOf(replicas, rollout.fromRevision).ready, oldTarget),
    newReady: Math.min(countsOf(replicas, rollout.toRevision).ready, newTarget),
  };
}

/** Sets the targets that a rolling rollout begins with, in place: all old, none new. */
export function beginRolling(draft: Rollout, replicas: ReplicaView): void {
  draft.rolling ??= create(RollingProgressSchema, { oldTarget: fullScale(draft, replicas) });
}

/**
 * Moves the targets, in place: forward while progressing, the other way while rolling back. One side grows into the
 * surge, the other shrinks by what is above the least that must be ready; the side that shrinks gives up replicas that
 * are not ready first, so that broken ones cannot stop it (as ReplicaSets of Kubernetes' deployments do).
 *
 * @returns whether a target changed.
 */
export function rollReplicas(draft: Rollout, replicas: ReplicaView, now: number): boolean {
  const progress = draft.rolling;
  const total = fullScale(draft, replicas);
  if (progress === undefined || total === 0) return false;
  const { oldTarget, newTarget } = progress;
  const { oldReady, newReady } = rollingReady(draft, replicas);
  const old = { target: oldTarget, ready: oldReady };
  const fresh = { target: newTarget, ready: newReady };
  const bounds = { total, ...allowances(draft, total) };
  if (draft.state === RolloutState.PROGRESSING) {
    if (newReady > progress.mostReady) {
      progress.mostReady = newReady;
      draft.progressAt = timestampFromMs(now);
    }
    progress.oldTarget = shrunk(old, fresh, bounds);
    progress.newTarget = grown(newTarget, progress.oldTarget, bounds);
  } else if (draft.state === RolloutState.ROLLING_BACK) {
    progress.newTarget = shrunk(fresh, old, bounds);
    progress.oldTarget = grown(oldTarget, progress.newTarget, bounds);
  }
  return progress.oldTarget !== oldTarget || progress.newTarget !== newTarget;
}

/** Tells whether the old replicas are gone and all new ones are ready. */
export function isRolled(rollout: Rollout, replicas: ReplicaView): boolean {
  const total = fullScale(rollout, replicas);
  return total > 0 && rollout.rolling?.oldTarget === 0 && rollingReady(rollout, replicas).newReady >= total;
}

interface Side {
  readonly target: number;
  readonly ready: number;
}

interface Bounds {
  readonly total: number;
  readonly surge: number;
  readonly unavailable: number;
}

function grown(target: number, other: number, { total, surge }: Bounds): number {
  return Math.max(target, Math.min(total, total + surge - other));
}

function shrunk(side: Side, other: Side, { total, unavailable }: Bounds): number {
  const least = total - unavailable;
  const room = Math.max(0, side.target + other.ready - least);
  const broken = Math.min(side.target - side.ready, room);
  const spare = Math.max(0, side.ready + other.ready - least);
  return Math.max(0, side.target - broken - Math.min(spare, room - broken));
}

function allowances(rollout: Rollout, total: number): { readonly surge: number; readonly unavailable: number } {
  const kind = rollout.strategy?.kind;
  const { maxSurge, maxUnavailable } = kind?.case === "rolling" ? kind.value : {};
  const unavailable = Math.min(total, Math.floor(amount(maxUnavailable, total, 0)));
  const surge = Math.ceil(amount(maxSurge, total, 1));
  // With neither nothing could ever move.
  return { unavailable, surge: surge === 0 && unavailable === 0 ? 1 : surge };
}

function amount(value: CountOrPercent | undefined, total: number, otherwise: number): number {
  switch (value?.value.case) {
    case "count":
      return value.value.value;
    case "percent":
      return (total * value.value.value) / 100;
    default:
      return otherwise;
  }
}
