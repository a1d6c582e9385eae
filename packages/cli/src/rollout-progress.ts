import { resumed } from "@kedge/client";
import { isRolloutEnded } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import { type Deployment, RolloutState, WatchDeploymentResponseSchema } from "@kedge/proto";
import { deploymentLine } from "./output/views.ts";
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

/** Waits for the end of the rollout; ends the command with exit 4 when it was rolled back. */
export async function waitForRollout(session: Session, name: string): Promise<void> {
  await watchDeployment(session, name, ({ rollout }) => {
    if (rollout === undefined || !isRolloutEnded(rollout.state)) return false;
    if (rollout.state === RolloutState.ROLLED_BACK) throw new ExitRequest("rolledBack");
    return true;
  });
}
