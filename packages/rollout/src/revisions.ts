import { isRolloutEnded } from "@kedge/domain";
import { type Deployment, type Revision, RevisionState, type Rollout, RolloutState } from "@kedge/proto";

const MAX_REVISIONS = 20;

/** Tells whether a rollout is under way. */
export function hasActiveRollout({ rollout }: Deployment): boolean {
  return rollout !== undefined && !isRolloutEnded(rollout.state);
}

/** A revision by its number. */
export function findRevision(deployment: Deployment, number: number): Revision | undefined {
  return deployment.revisions.find((revision) => revision.number === number);
}

/** The revision that waits for its turn: the one a person or an incident asked for, else the newest candidate. */
export function waitingRevision(deployment: Deployment): Revision | undefined {
  const asked = findRevision(deployment, deployment.nextRollout?.revision ?? 0);
  if (asked !== undefined && asked.number !== deployment.stableRevision) return asked;
  const rolling = hasActiveRollout(deployment) ? deployment.rollout?.toRevision : undefined;
  return deployment.revisions.findLast(
    ({ number, state }) =>
      state === RevisionState.CANDIDATE && number !== rolling && number !== deployment.stableRevision,
  );
}

/** The revision that a deployment moves to, or stands at. */
export function wantedRevision(deployment: Deployment): Revision | undefined {
  const rolling = hasActiveRollout(deployment) ? deployment.rollout?.toRevision : undefined;
  return waitingRevision(deployment) ?? findRevision(deployment, rolling ?? deployment.stableRevision);
}

/** Appends a new candidate, in place. Whatever still waited for its turn has lost it. */
export function addRevision(deployment: Deployment, revision: Revision): void {
  dropWaiting(deployment);
  deployment.revisions.push(revision);
  const { stableRevision, rollout } = deployment;
  const kept = new Set([stableRevision, rollout?.fromRevision, rollout?.toRevision, revision.number]);
  while (deployment.revisions.length > MAX_REVISIONS) {
    const at = deployment.revisions.findIndex(({ number }) => !kept.has(number));
    if (at < 0) return;
    deployment.revisions.splice(at, 1);
  }
}

/** Takes the turn from whatever waits for it, in place. */
export function dropWaiting(deployment: Deployment): void {
  delete deployment.nextRollout;
  const rolling = hasActiveRollout(deployment) ? deployment.rollout?.toRevision : undefined;
  for (const revision of deployment.revisions) {
    const waits = revision.state === RevisionState.CANDIDATE && revision.number !== rolling;
    if (waits) revision.state = RevisionState.ROLLED_BACK;
  }
}

/**
 * Takes a rollout's end into the revisions, in place; once more changes nothing. What a return came away from is rolled
 * back: it serves again only when a person asks for it.
 */
export function closeRollout(deployment: Deployment, rollout: Rollout): void {
  const to = findRevision(deployment, rollout.toRevision);
  if (rollout.state !== RolloutState.SUCCEEDED) {
    if (to) to.state = RevisionState.ROLLED_BACK;
    return;
  }
  const from = findRevision(deployment, rollout.fromRevision);
  deployment.stableRevision = rollout.toRevision;
  if (to) to.state = RevisionState.STABLE;
  if (from) from.state = rollout.returning ? RevisionState.ROLLED_BACK : RevisionState.RETIRED;
}
