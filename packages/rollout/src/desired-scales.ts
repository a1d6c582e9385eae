import { type Rollout, RolloutState } from "@kedge/proto";
import { phaseOf } from "./share.ts";
import { currentStep, waveCount } from "./strategy-steps.ts";
import { warmUntil } from "./timing.ts";

/** How many replicas of a revision there must be. */
export interface RevisionScale {
  readonly revision: number;
  /** Absent: full scale. Otherwise those that are not ready go first. */
  readonly replicas?: number;
  /** On the nodes of the first so many waves only; absent: wherever the deployment runs. */
  readonly waves?: number;
}

/**
 * What replicas a rollout wants, ascending by revision. Both revisions while it runs, so that traffic can go back at
 * once; after it the one that won, and for the scale-down delay the one before.
 *
 * @param now milliseconds since 1970; absent: no scale-down delay.
 */
export function desiredScales(rollout: Rollout, now?: number): RevisionScale[] {
  const { fromRevision, toRevision, rolling } = rollout;
  const old: RevisionScale = { revision: fromRevision };
  const fresh: RevisionScale = { revision: toRevision };
  return scales()
    .filter(({ revision, replicas }) => revision > 0 && replicas !== 0)
    .sort((a, b) => a.revision - b.revision);

  function scales(): RevisionScale[] {
    if (rollout.state === RolloutState.ROLLED_BACK) return [old];
    if (rollout.state === RolloutState.SUCCEEDED) {
      return now !== undefined && now < (warmUntil(rollout) ?? 0) ? [old, fresh] : [fresh];
    }
    if (rolling !== undefined) {
      return [
        { ...old, replicas: rolling.oldTarget },
        { ...fresh, replicas: rolling.newTarget },
      ];
    }
    const waits = phaseOf(rollout) === RolloutState.PREPARING || phaseOf(rollout) === RolloutState.PROGRESSING;
    const reached = currentStep(rollout).wave + 1;
    return [old, waits && reached < waveCount(rollout) ? { ...fresh, waves: reached } : fresh];
  }
}

/** The revisions of `desiredScales` alone. */
export function desiredRevisions(rollout: Rollout, now?: number): number[] {
  return desiredScales(rollout, now).map(({ revision }) => revision);
}
