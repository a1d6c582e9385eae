import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Deployment, type Incident, IncidentKind, RolloutState } from "@kedge/proto";
import type { Incident as Blame } from "@kedge/rollout";

const KINDS: ReadonlySet<IncidentKind> = new Set([IncidentKind.ANOMALY, IncidentKind.BURN_RATE]);
/** Traffic and what is predicted follow from users as well. */
const GROUPS = ["/errors", "/latency"];

/**
 * What is laid at the door of the revision that a deployment's rollout promoted: errors or response times that became
 * unusual, or a budget that burns, on the whole of it and since the promotion. What one node shows alone is that node's.
 */
export function blameOf(deployment: Deployment, open: Iterable<Incident>): Blame | undefined {
  const { name, rollout } = deployment;
  if (rollout?.state !== RolloutState.SUCCEEDED || rollout.fromRevision === 0 || rollout.returning) return undefined;
  const promotedMs = rollout.finishedAt === undefined ? 0 : timestampMs(rollout.finishedAt);
  for (const { subject, kind, key, beganAt, reason } of open) {
    const isOurs = subject?.deployment === name && subject.revision === rollout.toRevision && subject.nodeId === "";
    const isBad = KINDS.has(kind) && (kind === IncidentKind.BURN_RATE || GROUPS.some((group) => key.endsWith(group)));
    if (!isOurs || !isBad || beganAt === undefined || timestampMs(beganAt) < promotedMs) continue;
    return { revision: rollout.toRevision, reason };
  }
  return undefined;
}

/** The incidents that made a return from a revision, newest last. */
export function* blamedFor(deployment: string, revision: number, all: Iterable<Incident>): Iterable<Incident> {
  for (const incident of all) {
    const { subject, kind } = incident;
    if (KINDS.has(kind) && subject?.deployment === deployment && subject.revision === revision) yield incident;
  }
}
