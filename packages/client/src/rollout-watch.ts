import { KedgeError } from "@kedge/domain";
import { type Clock, systemClock } from "@kedge/kernel";
import { type Deployment, RevisionState, type Rollout } from "@kedge/proto";
import type { KedgeClient } from "./client.ts";
import { resumed } from "./resume.ts";

/** Settings of a wait for a rollout. */
export interface RolloutWaitOptions {
  readonly signal?: AbortSignal;
  /** Called with the deployment as it is at first, and after every change. */
  readonly onChange?: (deployment: Deployment) => void;
  readonly clock?: Clock;
}

/**
 * Waits for the end of a deployment's newest rollout that is under way or wanted, and answers it; when nothing is under
 * way, the last one at once; undefined when another revision was wanted before this one had its turn. Survives restarts
 * of the controller.
 */
export async function waitForRollout(
  client: KedgeClient,
  name: string,
  options: RolloutWaitOptions = {},
): Promise<Rollout | undefined> {
  const { signal, clock = systemClock } = options;
  const open = () => client.deployments.watchDeployment({ name }, signal === undefined ? {} : { signal });
  let target: number | undefined;
  for await (const { deployment } of resumed(open, { clock, signal })) {
    if (deployment === undefined) continue;
    options.onChange?.(deployment);
    target ??= targetOf(deployment);
    if (target !== undefined && !isUnderWay(deployment, target)) return lastRollout(deployment, target);
  }
  throw new KedgeError("INTERNAL", `the watch of deployment ${name} ended before its rollout did`);
}

/** A rollout that was asked for is begun by the controller a moment later. */
function targetOf({ nextRollout, revisions, rollout }: Deployment): number | undefined {
  const candidate = revisions.findLast(({ state }) => state === RevisionState.CANDIDATE);
  return nextRollout?.revision ?? candidate?.number ?? rollout?.toRevision;
}

function isUnderWay({ nextRollout, revisions }: Deployment, target: number): boolean {
  const revision = revisions.find(({ number }) => number === target);
  return nextRollout?.revision === target || revision?.state === RevisionState.CANDIDATE;
}

function lastRollout({ history, rollout }: Deployment, target: number): Rollout | undefined {
  const all = rollout === undefined ? history : [...history, rollout];
  return all.findLast(({ toRevision }) => toRevision === target);
}
