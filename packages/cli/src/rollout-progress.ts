import { create } from "@bufbuild/protobuf";
import { waitForRollout as lastRollout, resumed } from "@kedge/client";
import { systemClock } from "@kedge/kernel";
import { type Deployment, RolloutState, WatchDeploymentResponseSchema } from "@kedge/proto";
import { deploymentLine } from "./output/rollout-views.ts";
import { ExitRequest } from "./print-error.ts";
import type { Session } from "./session.ts";

/** Prints a deployment's changes until interrupted. */
export async function watchDeployment({ client, output, signal }: Session, name: string): Promise<void> {
  const open = () => client.deployments.watchDeployment({ name }, { signal });
  const print = changePrinter(output);
  for await (const { deployment } of resumed(open, { clock: systemClock, signal })) if (deployment) print(deployment);
}

/**
 * Waits for the end of the newest rollout that is under way or wanted, else for nothing; ends the command with exit 4 when
 * it was rolled back, or never got its turn.
 */
export async function waitForRollout({ client, output, signal }: Session, name: string): Promise<void> {
  const rollout = await lastRollout(client, name, { signal, onChange: changePrinter(output) });
  if (rollout?.state !== RolloutState.SUCCEEDED) throw new ExitRequest("rolledBack");
}

function changePrinter(output: Session["output"]): (deployment: Deployment) => void {
  let last = "";
  return (deployment) => {
    const line = deploymentLine(deployment);
    const message = create(WatchDeploymentResponseSchema, { deployment });
    if (output.json || line !== last) output.item(WatchDeploymentResponseSchema, message, () => [line]);
    last = line;
  };
}
