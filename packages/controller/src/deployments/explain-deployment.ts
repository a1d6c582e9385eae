import { isRolloutEnded } from "@kedge/domain";
import { type Deployment, ReplicaState, type Rollout, RolloutState } from "@kedge/proto";
import { rolloutSteps } from "@kedge/rollout";

/** What is going on with a deployment, why, and what would change it; one line each, for people. */
export function explainDeployment(deployment: Deployment): string[] {
  const lines = [
    deployment.stableRevision === 0
      ? "No revision is in force yet."
      : `Revision ${deployment.stableRevision} is in force.`,
  ];
  if (deployment.rollout !== undefined) lines.push(...rolloutLines(deployment.rollout));
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
  const canary = rollout.totalCanary;
  const baseline = rollout.totalBaseline;
  if (canary && baseline) {
    lines.push(
      `Seen: ${canary.errors} errors of ${canary.requests} requests on the new revision, ${baseline.errors} of ${baseline.requests} on the old one.`,
    );
  }
  const step = rollout.fromRevision > 0 ? rolloutSteps(rollout)[rollout.step] : undefined;
  if (step && !isRolloutEnded(rollout.state)) {
    const wants = [
      `${step.holdSeconds} s at ${step.weightPercent} %`,
      ...(step.minRequests > 0 ? [`${step.minRequests} requests (${rollout.stepCanary?.requests ?? 0n} so far)`] : []),
      ...(step.manual ? ["`kedge rollout promote`"] : []),
    ];
    lines.push(`This step ends after ${wants.join(" and ")}.`);
  }
  return lines;
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
