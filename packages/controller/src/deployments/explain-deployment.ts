import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isRolloutEnded } from "@kedge/domain";
import { type Deployment, ReplicaState, type Rollout, type RolloutOutlook, RolloutState } from "@kedge/proto";
import { describeDecision } from "@kedge/rollout/local";

/** More would hide the rest. */
const MAX_DECISIONS = 8;

/**
 * What is going on with a deployment, why, what would change it and when; one line each, for people. The deployment is one
 * with its live part.
 */
export function explainDeployment(deployment: Deployment, nowMs: number): string[] {
  const lines = [
    deployment.stableRevision === 0
      ? "No revision is in force yet."
      : `Revision ${deployment.stableRevision} is in force.`,
  ];
  if (deployment.rollout !== undefined) lines.push(...rolloutLines(deployment.rollout));
  if (deployment.outlook !== undefined) lines.push(...outlookLines(deployment, deployment.outlook, nowMs));
  if (deployment.nextRollout !== undefined) {
    lines.push(`Waiting: revision ${deployment.nextRollout.revision}, ${deployment.nextRollout.reason}.`);
  }
  const splits = deployment.route?.splits.map((split) => `${split.basisPoints / 100} % to revision ${split.revision}`);
  lines.push(splits?.length ? `Traffic: ${splits.join(", ")}.` : "Traffic: none is routed.");
  lines.push(replicaLine(deployment));
  if (deployment.pending) lines.push(`Replicas are missing: ${deployment.pending.summary}`);
  return lines;
}

function rolloutLines(rollout: Rollout): string[] {
  const state = RolloutState[rollout.state].toLowerCase().replaceAll("_", " ");
  const last = rollout.transitions.at(-1);
  const lines = [`Rollout to revision ${rollout.toRevision}: ${state}${last ? `, ${last.reason}` : ""}.`];
  if (rollout.verdict) lines.push(`Judge: ${rollout.verdict.reason}`);
  const { totalCanary: fresh, totalBaseline: old, fromRevision } = rollout;
  if (fresh && old && fromRevision > 0) {
    lines.push(
      `Seen: ${fresh.errors} errors of ${fresh.requests} requests on the new revision, ${old.errors} of ${old.requests} on the old one.`,
    );
  }
  const { compared = 0n, differing = 0n } = rollout.comparisons ?? {};
  if (compared > 0n) lines.push(`Compared: ${differing} of ${compared} mirrored answers differ.`);
  for (const decision of rollout.localDecisions.slice(-MAX_DECISIONS))
    lines.push(`Cut off: ${describeDecision(decision)}.`);
  return lines;
}

function outlookLines({ name, rollout }: Deployment, outlook: RolloutOutlook, nowMs: number): string[] {
  const { waitsFor, next, commands, requestsMissing, requestsPerSecond, stepEndsAt, deadlineAt } = outlook;
  const lines: string[] = [];
  if (waitsFor !== "") lines.push(`Waits for: ${waitsFor}.`);
  if (requestsMissing > 0n) {
    const rate = requestsPerSecond > 0 ? `${requestsPerSecond.toFixed(1)} a second come` : "none has come";
    lines.push(`Missing: ${requestsMissing} requests; ${rate}.`);
  }
  if (stepEndsAt !== undefined) lines.push(`This step ends in ${secondsUntil(stepEndsAt, nowMs)} s at the earliest.`);
  if (next !== "") lines.push(`Then: ${next}.`);
  if (deadlineAt !== undefined) {
    lines.push(`Without progress it is given up or paused in ${secondsUntil(deadlineAt, nowMs)} s.`);
  }
  if (commands.length > 0) {
    const isEnded = rollout !== undefined && isRolloutEnded(rollout.state);
    lines.push(`${isEnded ? "To change that" : "To step in"}: kedge rollout ${commands.join("|")} ${name}.`);
  }
  return lines;
}

function secondsUntil(at: Timestamp, nowMs: number): number {
  return Math.max(0, Math.ceil((timestampMs(at) - nowMs) / 1000));
}

function replicaLine(deployment: Deployment): string {
  if (deployment.replicas.length === 0) return "Replicas: none is reported by a live node.";
  const counts = new Map<string, number>();
  for (const replica of deployment.replicas) {
    const key = `revision ${replica.revision} ${ReplicaState[replica.state].toLowerCase()}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return `Replicas: ${[...counts].map(([key, count]) => `${count} ${key}`).join(", ")}.`;
}
