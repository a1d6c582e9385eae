import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { KedgeError } from "@kedge/domain";
import {
  AllAtOnceStrategySchema,
  type Deployment,
  ReplicaTemplateSchema,
  type Revision,
  RevisionSchema,
  RevisionState,
  StrategySchema,
} from "@kedge/proto";
import { abortRollout } from "@kedge/rollout";
import { addRevision, hasActiveRollout } from "./apply.ts";

/** Who asked, and when. */
export interface RollbackRequest {
  readonly who: string;
  readonly nowMs: number;
}

/**
 * Sends a deployment back, in place: a rollout under way is aborted; after it, an earlier revision's template becomes a
 * new revision that takes all traffic as soon as it is ready.
 *
 * @param number 0: the revision that was stable before.
 * @returns the revision that is wanted now.
 * @throws KedgeError NO_PREVIOUS_REVISION, REVISION_NOT_FOUND.
 */
export function requestRollback(deployment: Deployment, number: number, { who, nowMs }: RollbackRequest): number {
  const rollout = deployment.rollout;
  if (rollout !== undefined && hasActiveRollout(deployment) && (number === 0 || number === rollout.fromRevision)) {
    deployment.rollout = abortRollout(rollout, nowMs, `rolled back by ${who}`);
    // Who wants to go back does not want what waited behind it either.
    for (const revision of deployment.revisions) {
      if (revision.state === RevisionState.CANDIDATE && revision.number > rollout.toRevision) {
        revision.state = RevisionState.ROLLED_BACK;
      }
    }
    return rollout.fromRevision;
  }
  const target = findTarget(deployment, number);
  const revision = create(RevisionSchema, {
    number: Math.max(...deployment.revisions.map((known) => known.number)) + 1,
    state: RevisionState.CANDIDATE,
    createdAt: timestampFromMs(nowMs),
    createdBy: who,
    commit: target.commit,
    manifestDigest: target.manifestDigest,
    ...(target.template === undefined ? {} : { template: clone(ReplicaTemplateSchema, target.template) }),
  });
  addRevision(deployment, revision);
  if (deployment.spec) {
    deployment.spec.strategy = create(StrategySchema, {
      progressDeadlineSeconds: deployment.spec.strategy?.progressDeadlineSeconds ?? 0,
      kind: { case: "allAtOnce", value: create(AllAtOnceStrategySchema) },
    });
    if (revision.template) deployment.spec.template = revision.template;
  }
  return revision.number;
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
  const waiting = deployment.revisions.find((revision) => revision.number === number);
  if (waiting?.state === RevisionState.CANDIDATE) waiting.state = RevisionState.ROLLED_BACK;
}

function findTarget(deployment: Deployment, number: number): Revision {
  if (number > 0) {
    const found = deployment.revisions.find((revision) => revision.number === number);
    if (found) return found;
    const known = deployment.revisions.map((revision) => revision.number).join(", ");
    throw new KedgeError("REVISION_NOT_FOUND", `deployment ${deployment.name} has no revision ${number}`, {
      field: "revision",
      hint: `it has ${known}`,
    });
  }
  const earlier = deployment.revisions.findLast((revision) => revision.state === RevisionState.RETIRED);
  if (earlier) return earlier;
  throw new KedgeError("NO_PREVIOUS_REVISION", `deployment ${deployment.name} has no earlier revision that served`, {
    field: "revision",
  });
}
