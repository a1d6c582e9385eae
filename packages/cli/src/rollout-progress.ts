import { resumed } from "@kedge/client";
import { systemClock } from "@kedge/kernel";
import { type Deployment, RevisionState, RolloutState, WatchDeploymentResponseSchema } from "@kedge/proto";
import { deploymentLine } from "./output/rollout-views.ts";
import { ExitRequest } from "./print-error.ts";
import type { Session } from "./session.ts";

/** Prints a deployment's changes, until `stop` says so; without it, until interrupted. */
export async function watchDeployment(
  { client, output, signal }: Session,
  name: string,
  stop: (deployment: Deployment) => boolean = () => false,
): Promise<void> {
  const open = () => client.deployments.watchDeployment({ name }, { signal });
  let last = "";
  for await (const message of resumed(open, { clock: systemClock, signal })) {
    if (message.deployment === undefined) continue;
    const line = deploymentLine(message.deployment);
    if (output.json || line !== last) output.item(WatchDeploymentResponseSchema, message, () => [line]);
    last = line;
    if (stop(message.deployment)) return;
  }
}

/**
 * Waits for the end of the newest rollout that is under way or wanted, else for nothing; ends the command with exit 4 when
 * it was rolled back, or never got its turn.
 */
export async function waitForRollout(session: Session, name: string): Promise<void> {
  let target: number | undefined;
  await watchDeployment(session, name, (deployment) => {
    target ??= targetOf(deployment);
    const revision = deployment.revisions.find(({ number }) => number === target);
    const isUnderWay = deployment.nextRollout?.revision === target || revision?.state === RevisionState.CANDIDATE;
    if (target === undefined || isUnderWay) return false;
    const all = [...deployment.history, ...(deployment.rollout ? [deployment.rollout] : [])];
    const last = all.findLast(({ toRevision }) => toRevision === target);
    if (last?.state === RolloutState.SUCCEEDED) return true;
    throw new ExitRequest("rolledBack");
  });
}

/** A rollout that was asked for is begun by the controller a moment later. */
function targetOf({ nextRollout, revisions, rollout }: Deployment): number | undefined {
  const candidate = revisions.findLast(({ state }) => state === RevisionState.CANDIDATE);
  return nextRollout?.revision ?? candidate?.number ?? rollout?.toRevision;
}
