import { type Deployment, ReplicaState, RolloutState } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import { ended, jobStates, submit } from "./runs.ts";
import { waitFor } from "./wait-for.ts";

/** Releases a version by the pipeline of a deployment; fails unless the run succeeds. */
export async function release(cluster: Cluster, file: string, version: number): Promise<void> {
  const run = await ended(cluster, await submit(cluster, { file, parameters: { version: String(version) } }));
  const states = Object.entries(jobStates(run));
  const failed = states.filter(([, state]) => state !== "SUCCEEDED");
  if (failed.length > 0)
    throw new Error(
      `the release of version ${version} failed: ${JSON.stringify(run.jobs.map(({ reason }) => reason))}`,
    );
}

/** Waits until a deployment satisfies the condition. */
export function deploymentWhere(
  cluster: Cluster,
  name: string,
  holds: (deployment: Deployment) => boolean,
  timeoutMs?: number,
): Promise<Deployment> {
  const probe = async () => {
    const { deployment } = await cluster.client.deployments.getDeployment({ name });
    return deployment !== undefined && holds(deployment) ? { value: deployment } : { instead: told(deployment) };
  };
  return waitFor(`deployment ${name} is as expected`, probe, timeoutMs);
}

/** Shares of traffic by revision in percent, as the route document says. */
export function shares(deployment: Deployment): Record<string, number> {
  const splits = deployment.route?.splits.filter(({ basisPoints }) => basisPoints > 0) ?? [];
  return Object.fromEntries(splits.map(({ revision, basisPoints }) => [String(revision), basisPoints / 100]));
}

/** Revisions of the replicas that are ready. */
export function readyRevisions(deployment: Deployment): number[] {
  return deployment.replicas.filter(({ state }) => state === ReplicaState.READY).map(({ revision }) => revision);
}

/** The states that the rollout went through, by name. */
export function rolloutPath(deployment: Deployment): string[] {
  const transitions = deployment.rollout?.transitions ?? [];
  return transitions.map(({ to, weightPercent }) => `${RolloutState[to]}@${weightPercent}`);
}

function told(deployment: Deployment | undefined): unknown {
  if (deployment === undefined) return undefined;
  const { rollout, replicas, stableRevision, pending } = deployment;
  return {
    stableRevision,
    rollout: rollout === undefined ? undefined : RolloutState[rollout.state],
    path: rolloutPath(deployment),
    shares: shares(deployment),
    canary: rollout?.totalCanary,
    replicas: replicas.map(({ replicaId, state, message }) => `${replicaId} ${ReplicaState[state]} ${message}`),
    pending: pending?.summary,
  };
}
