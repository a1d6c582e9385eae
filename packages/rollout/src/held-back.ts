import { equals } from "@bufbuild/protobuf";
import {
  type Deployment,
  type ReplicaTemplate,
  ReplicaTemplateSchema,
  RevisionState,
  type Rollout,
  RolloutCause,
  RolloutState,
} from "@kedge/proto";
import { hasActiveRollout, waitingRevision } from "./revisions.ts";

/** A version that was taken back, and is not rolled out again before a person asks for it. */
export interface HeldBackVersion {
  readonly revision: number;
  /** Why it was taken back, for people. */
  readonly reason: string;
}

/**
 * The newest revision of this template, if it was rolled back, is being rolled back, or was left by a return. One that
 * only gave way to a newer revision, or that a person has asked for again, is not held back.
 */
export function heldBackVersion(deployment: Deployment, template: ReplicaTemplate): HeldBackVersion | undefined {
  const revision = deployment.revisions.findLast(
    (known) => known.template !== undefined && equals(ReplicaTemplateSchema, known.template, template),
  );
  if (revision === undefined || waitingRevision(deployment)?.number === revision.number) return undefined;
  const rollout = lastAbout(deployment, revision.number);
  const reason = rollout === undefined ? undefined : takenBackBecause(rollout, revision.number);
  const isOver = rollout !== deployment.rollout || !hasActiveRollout(deployment);
  if (reason === undefined || (isOver && revision.state !== RevisionState.ROLLED_BACK)) return undefined;
  return { revision: revision.number, reason };
}

function lastAbout({ history, rollout }: Deployment, revision: number): Rollout | undefined {
  const all = rollout === undefined ? history : [...history, rollout];
  return all.findLast((one) => one.toRevision === revision || (one.returning && one.fromRevision === revision));
}

function takenBackBecause(rollout: Rollout, revision: number): string | undefined {
  const { state, cause, transitions } = rollout;
  const isBack = state === RolloutState.ROLLING_BACK || state === RolloutState.ROLLED_BACK;
  if (rollout.toRevision !== revision) return isBack ? undefined : transitions[0]?.reason;
  if (!isBack || cause === RolloutCause.SUPERSEDED) return undefined;
  return transitions.find(({ to }) => to === RolloutState.ROLLING_BACK)?.reason ?? "no reason is recorded any more";
}
