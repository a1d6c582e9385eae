import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Deployment,
  type Incident,
  IncidentKind,
  IncidentSeverity,
  PauseCause,
  type Rollout,
  RolloutCause,
  RolloutState,
} from "@kedge/proto";
import type { Finding, FindingAction } from "./finding.ts";

/** Causes that are somebody's wish are no incident; neither is what one brought about. */
const BAD_CAUSES: ReadonlySet<RolloutCause> = new Set([
  RolloutCause.JUDGE,
  RolloutCause.DEADLINE,
  RolloutCause.REPLICA_FAILED,
  RolloutCause.LOCAL_DECISION,
  RolloutCause.FLEET_FAILURES,
  RolloutCause.COMPARISON,
]);

const BAD_PAUSES: ReadonlySet<PauseCause> = new Set([
  PauseCause.ANALYSIS,
  PauseCause.METRICS_MISSING,
  PauseCause.DEADLINE,
]);

/** What is wrong with a deployment's rollout: it was taken back, or waits for a person. */
export function rolloutFinding({ name, rollout }: Deployment): Finding | undefined {
  if (rollout === undefined || rollout.returning) return undefined;
  const isTakenBack = rollout.state === RolloutState.ROLLING_BACK || rollout.state === RolloutState.ROLLED_BACK;
  if (isTakenBack && BAD_CAUSES.has(rollout.cause)) return takenBack(name, rollout);
  return rollout.state === RolloutState.PAUSED && BAD_PAUSES.has(rollout.pauseCause)
    ? paused(name, rollout)
    : undefined;
}

function takenBack(deployment: string, rollout: Rollout): Finding {
  const { id, fromRevision, toRevision, finishedAt } = rollout;
  const isBack = finishedAt !== undefined && fromRevision > 0;
  return {
    key: `rollout/${deployment}/${id}`,
    kind: IncidentKind.ROLLOUT,
    severity: IncidentSeverity.WARNING,
    subject: { deployment, revision: toRevision, rolloutId: id },
    summary: `revision ${toRevision} of deployment ${deployment} was rolled back`,
    ...lastMove(rollout, RolloutState.ROLLING_BACK),
    actions: isBack
      ? [{ atMs: timestampMs(finishedAt), what: `sent all traffic back to revision ${fromRevision}` }]
      : [],
  };
}

function paused(deployment: string, rollout: Rollout): Finding {
  const { id, toRevision } = rollout;
  const move = lastMove(rollout, RolloutState.PAUSED);
  return {
    key: `rollout/${deployment}/${id}/paused`,
    kind: IncidentKind.ROLLOUT,
    severity: IncidentSeverity.WARNING,
    subject: { deployment, revision: toRevision, rolloutId: id },
    summary: `the rollout of revision ${toRevision} of deployment ${deployment} is paused`,
    ...move,
    actions: [{ atMs: move.beganAtMs, what: "paused the rollout" }],
  };
}

/** Why and when a rollout last came to a state. */
function lastMove({ transitions }: Rollout, to: RolloutState): Pick<Finding, "reason" | "beganAtMs"> {
  const move = transitions.findLast((transition) => transition.to === to) ?? transitions.at(-1);
  return { reason: move?.reason ?? "", beganAtMs: move?.at === undefined ? 0 : timestampMs(move.at) };
}

/** Whether what a rollout's incident is about is over, and how. */
export function rolloutOver({ key, subject }: Incident, deployment: Deployment | undefined): string | undefined {
  if (deployment === undefined) return "the deployment was deleted";
  const { rollout, stableRevision } = deployment;
  const isSame = rollout?.id === subject?.rolloutId;
  if (key.endsWith("/paused"))
    return isSame && rollout?.state === RolloutState.PAUSED ? undefined : "the rollout goes on";
  if (isSame || rollout?.state !== RolloutState.SUCCEEDED || rollout.returning) return undefined;
  return `revision ${stableRevision} was promoted`;
}

/** What an incident made of a deployment: the return that it caused. */
export function returnActions({ rollout }: Deployment): FindingAction[] {
  if (rollout?.cause !== RolloutCause.INCIDENT || !rollout.returning) return [];
  const { startedAt, finishedAt, toRevision, state } = rollout;
  const began = startedAt && { atMs: timestampMs(startedAt), what: `began to bring revision ${toRevision} back` };
  const isDone = state === RolloutState.SUCCEEDED && finishedAt !== undefined;
  const done = isDone && { atMs: timestampMs(finishedAt), what: `brought revision ${toRevision} back` };
  return [began, done].filter((action): action is FindingAction => typeof action === "object");
}
