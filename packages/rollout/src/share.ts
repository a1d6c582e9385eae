import { type Rollout, RolloutState } from "@kedge/proto";
import { ALL_BASIS_POINTS, capacityBasisPoints, countsOf, waveReplicas } from "./capacity.ts";
import type { ReplicaView, ReplicaWorld } from "./observation.ts";
import { rollingReady } from "./rolling.ts";
import { currentStep, type ResolvedStep, rolloutSteps, waveCount } from "./strategy-steps.ts";

/** The state that decides what a rollout wants: a pause keeps what was. */
export function phaseOf(rollout: Rollout): RolloutState {
  return rollout.state === RolloutState.PAUSED ? rollout.pausedFrom : rollout.state;
}

/** The step whose traffic is in force: until its replicas are ready a step has not begun, and the one before stays. */
export function stepInForce(rollout: Rollout): ResolvedStep | undefined {
  if (phaseOf(rollout) !== RolloutState.PROGRESSING) return undefined;
  return rolloutSteps(rollout)[rollout.stepStartedAt === undefined ? rollout.step - 1 : rollout.step];
}

/** The new revision's share in percent, on the nodes of a wave, if all its replicas were ready. */
export function nominalPercent(rollout: Rollout, wave = currentStep(rollout).wave): number {
  switch (phaseOf(rollout)) {
    case RolloutState.PROGRESSING: {
      const step = stepInForce(rollout);
      if (step === undefined || wave > step.wave) return 0;
      return wave < step.wave ? 100 : step.weightPercent;
    }
    case RolloutState.PROMOTING:
    case RolloutState.SUCCEEDED:
      return 100;
    case RolloutState.ROLLING_BACK:
      return rollout.leftPercent[wave] ?? 0;
    default:
      return 0;
  }
}

/**
 * The new revision's share in basis points on the nodes of a wave: its nominal share, or what its ready replicas can
 * carry if that is less; going back, no more than the old ones cannot carry.
 */
export function newShare(rollout: Rollout, world: ReplicaWorld, wave: number): number {
  if (rollout.state === RolloutState.SUCCEEDED) return ALL_BASIS_POINTS;
  if (rollout.state === RolloutState.ROLLED_BACK) return 0;
  const phase = phaseOf(rollout);
  if (rollout.fromRevision === 0) return phase === RolloutState.PROMOTING ? ALL_BASIS_POINTS : 0;
  const replicas = waveReplicas(world, wave, waveCount(rollout));
  if (phase === RolloutState.ROLLING_BACK) return shareLeft(rollout, replicas, wave);
  if (rollout.rolling !== undefined) return rollingShare(rollout, replicas);
  const carried = capacityBasisPoints(countsOf(replicas, rollout.toRevision));
  return Math.min(nominalPercent(rollout, wave) * 100, carried);
}

function shareLeft(rollout: Rollout, replicas: ReplicaView, wave: number): number {
  const old = countsOf(replicas, rollout.fromRevision);
  const isRolling = rollout.rolling !== undefined;
  const carried = isRolling
    ? rollingShare(rollout, replicas)
    : capacityBasisPoints(countsOf(replicas, rollout.toRevision));
  const oldReady = isRolling ? rollingReady(rollout, replicas).oldReady : old.ready;
  const missing = ALL_BASIS_POINTS - capacityBasisPoints({ desired: old.desired, ready: oldReady });
  // Whole percents, as they are written down, so that the share can only fall.
  return Math.floor(Math.min(nominalPercent(rollout, wave) * 100, carried, missing) / 100) * 100;
}

/** Each side its part of the ready replicas. */
function rollingShare(rollout: Rollout, replicas: ReplicaView): number {
  const { oldReady, newReady } = rollingReady(rollout, replicas);
  if (oldReady + newReady > 0) return Math.floor((ALL_BASIS_POINTS * newReady) / (oldReady + newReady));
  return (rollout.rolling?.oldTarget ?? 0) > 0 ? 0 : ALL_BASIS_POINTS;
}
