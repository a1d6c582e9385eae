import { create } from "@bufbuild/protobuf";
import { type Rollout, RolloutState, type RouteSplit, RouteSplitSchema } from "@kedge/proto";
import { ALL_BASIS_POINTS, capacityBasisPoints, countsOf } from "./capacity.ts";
import type { ReplicaView } from "./observation.ts";
import { currentStep, rolloutSteps } from "./steps.ts";

/** Time between windows while a rollout is judged, and otherwise. */
const JUDGED_WINDOW_MS = 250;
const IDLE_WINDOW_MS = 2000;

/** What the route of a deployment must say. */
export interface RoutePlan {
  /** Ascending by revision, shares above zero only, adding up to 10,000; empty while no revision may take traffic. */
  readonly splits: readonly RouteSplit[];
  readonly windowMs: number;
  readonly stableRevision: number;
  readonly reason: string;
}

/** The state that decides what a rollout wants: a pause keeps what was. */
export function phaseOf(rollout: Rollout): RolloutState {
  return rollout.state === RolloutState.PAUSED ? rollout.pausedFrom : rollout.state;
}

/** The new revision's share in percent if all its replicas were ready. */
export function nominalPercent(rollout: Rollout): number {
  switch (phaseOf(rollout)) {
    case RolloutState.PROGRESSING:
      // Until its replicas are ready a step has not begun, and the share of the one before stays in force.
      return rollout.stepStartedAt === undefined
        ? (rolloutSteps(rollout)[rollout.step - 1]?.weightPercent ?? 0)
        : currentStep(rollout).weightPercent;
    case RolloutState.PROMOTING:
    case RolloutState.SUCCEEDED:
      return 100;
    case RolloutState.ROLLING_BACK:
      // The newest transition holds the share that may still be left on the new revision; it only ever falls.
      return rollout.transitions.at(-1)?.weightPercent ?? 0;
    default:
      return 0;
  }
}

/** The new revision's share in basis points: its nominal share, or what its ready replicas can carry if that is less. */
export function newShare(rollout: Rollout, replicas: ReplicaView): number {
  const nominal = nominalPercent(rollout) * 100;
  if (rollout.state === RolloutState.SUCCEEDED) return ALL_BASIS_POINTS;
  if (rollout.fromRevision === 0) return phaseOf(rollout) === RolloutState.PROMOTING ? ALL_BASIS_POINTS : 0;
  const carried = Math.min(nominal, capacityBasisPoints(countsOf(replicas, rollout.toRevision)));
  if (phaseOf(rollout) !== RolloutState.ROLLING_BACK) return carried;
  const missing = ALL_BASIS_POINTS - capacityBasisPoints(countsOf(replicas, rollout.fromRevision));
  // Whole percents, as transitions record them, so that the share can only fall.
  return Math.floor(Math.min(carried, missing) / 100) * 100;
}

/**
 * The route that a rollout wants now, from its state and the replicas alone, so that a controller may write it again
 * at any time. The new revision never gets more than its ready replicas carry; the old one takes the rest.
 */
export function desiredRoute(rollout: Rollout, replicas: ReplicaView): RoutePlan {
  const share = newShare(rollout, replicas);
  const judged = share > 0 && share < ALL_BASIS_POINTS && !rollout.unjudged;
  const proven = rollout.state === RolloutState.SUCCEEDED || rollout.fromRevision === 0;
  return {
    splits: splitsOf(rollout, share),
    windowMs: judged ? JUDGED_WINDOW_MS : IDLE_WINDOW_MS,
    stableRevision: proven ? rollout.toRevision : rollout.fromRevision,
    reason: `${RolloutState[rollout.state].toLowerCase()}: ${share / 100} % on revision ${rollout.toRevision}`,
  };
}

/**
 * The revisions that must have all their replicas now, ascending. Both while the rollout runs, so that traffic can go
 * back at once; the one that won after it has ended.
 */
export function desiredRevisions(rollout: Rollout): number[] {
  const winner = rollout.state === RolloutState.SUCCEEDED ? rollout.toRevision : rollout.fromRevision;
  const ended = rollout.state === RolloutState.SUCCEEDED || rollout.state === RolloutState.ROLLED_BACK;
  const revisions = ended ? [winner] : [rollout.fromRevision, rollout.toRevision];
  return revisions.filter((revision) => revision > 0).sort((a, b) => a - b);
}

/** Tells whether two lists of splits mean the same route; the order and shares of zero do not count. */
export function sameSplits(a: readonly RouteSplit[], b: readonly RouteSplit[]): boolean {
  const shares = new Map<number, number>();
  for (const split of a) shares.set(split.revision, (shares.get(split.revision) ?? 0) + split.basisPoints);
  for (const split of b) shares.set(split.revision, (shares.get(split.revision) ?? 0) - split.basisPoints);
  return [...shares.values()].every((difference) => difference === 0);
}

function splitsOf(rollout: Rollout, share: number): RouteSplit[] {
  const rest = rollout.fromRevision === 0 ? 0 : ALL_BASIS_POINTS - share;
  return [
    { revision: rollout.fromRevision, basisPoints: rest },
    { revision: rollout.toRevision, basisPoints: share },
  ]
    .filter((split) => split.basisPoints > 0)
    .sort((a, b) => a.revision - b.revision)
    .map((split) => create(RouteSplitSchema, split));
}
