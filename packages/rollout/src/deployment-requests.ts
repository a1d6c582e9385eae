import { clone, create } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import {
  type Deployment,
  NextRolloutSchema,
  ReplicaTemplateSchema,
  type Revision,
  RevisionState,
  RolloutCause,
} from "@kedge/proto";
import { abortRollout } from "./requests.ts";
import { dropWaiting, findRevision, hasActiveRollout } from "./revisions.ts";

/** Who asks, and when; milliseconds since 1970. */
export interface DeploymentRequest {
  readonly who: string;
  readonly nowMs: number;
}

/**
 * Sends a deployment back to an earlier revision, in place; a rollout under way is aborted first. To a revision that has
 * served it goes without steps, as fast as its replicas are ready; to one that never has, by the strategy.
 *
 * @param number 0: the revision that is in force before a rollout under way, else the one that served before.
 * @returns the revision that is wanted now.
 * @throws KedgeError NO_PREVIOUS_REVISION, REVISION_NOT_FOUND.
 */
export function rollbackDeployment(deployment: Deployment, number: number, { who, nowMs }: DeploymentRequest): number {
  const rollout = deployment.rollout;
  const active = rollout !== undefined && hasActiveRollout(deployment);
  const before = active && !rollout.returning ? rollout.fromRevision : rollout?.toRevision;
  const target = active && number === 0 ? (before ?? 0) : findTarget(deployment, number).number;
  const reason = `rolled back by ${who}`;
  if (active && target === rollout.toRevision) return target;
  if (active) deployment.rollout = abortRollout(rollout, nowMs, reason);
  // Who wants to go back does not want what waited either.
  dropWaiting(deployment);
  want(deployment, target);
  if (target === deployment.stableRevision || target === 0) return target;
  const returning = findRevision(deployment, target)?.state === RevisionState.RETIRED;
  const next = { revision: target, returning, reason, cause: RolloutCause.ABORTED_BY_USER };
  deployment.nextRollout = create(NextRolloutSchema, next);
  return target;
}

/**
 * Rolls the same revision out again, in place, after it was rolled back; it goes by the strategy, from the start.
 *
 * @param number 0: the newest one that was rolled back.
 * @returns the revision.
 * @throws KedgeError REVISION_NOT_FOUND when there is none; CONFLICT while a rollout is under way.
 */
export function retryRevision(deployment: Deployment, number: number, { who }: DeploymentRequest): number {
  if (hasActiveRollout(deployment)) {
    throw new KedgeError("CONFLICT", `deployment ${deployment.name} has a rollout under way`, {
      field: "revision",
      hint: "wait for its end, or abort it",
    });
  }
  const isTarget = (revision: Revision) =>
    revision.state === RevisionState.ROLLED_BACK && (number === 0 || revision.number === number);
  const target = deployment.revisions.findLast(isTarget);
  if (target === undefined) {
    const what = number === 0 ? "no revision that was rolled back" : `no rolled-back revision ${number}`;
    throw new KedgeError("REVISION_NOT_FOUND", `deployment ${deployment.name} has ${what}`, { field: "revision" });
  }
  dropWaiting(deployment);
  want(deployment, target.number);
  deployment.nextRollout = create(NextRolloutSchema, { revision: target.number, reason: `tried again by ${who}` });
  return target.number;
}

/** Gives up a revision that is being rolled out or waits for it, in place; one that is in force stays. */
export function abandonRevision(
  deployment: Deployment,
  number: number,
  { nowMs, reason }: { readonly nowMs: number; readonly reason: string },
): void {
  const rollout = deployment.rollout;
  if (rollout?.toRevision === number) {
    deployment.rollout = abortRollout(rollout, nowMs, reason);
    return;
  }
  const waiting = findRevision(deployment, number);
  if (waiting?.state === RevisionState.CANDIDATE) waiting.state = RevisionState.ROLLED_BACK;
}

/** The spec follows, so that applying it again means this revision. */
function want(deployment: Deployment, number: number): void {
  const template = findRevision(deployment, number)?.template;
  if (deployment.spec && template) deployment.spec.template = clone(ReplicaTemplateSchema, template);
}

function findTarget(deployment: Deployment, number: number): Revision {
  const target =
    number > 0
      ? findRevision(deployment, number)
      : deployment.revisions.findLast((revision) => revision.state === RevisionState.RETIRED);
  if (target) return target;
  if (number === 0) {
    const message = `deployment ${deployment.name} has no earlier revision that served`;
    throw new KedgeError("NO_PREVIOUS_REVISION", message, { field: "revision" });
  }
  const known = deployment.revisions.map((revision) => revision.number).join(", ");
  throw new KedgeError("REVISION_NOT_FOUND", `deployment ${deployment.name} has no revision ${number}`, {
    field: "revision",
    hint: `it has ${known}`,
  });
}
