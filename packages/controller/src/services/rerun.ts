import { type Clock, newId } from "@kedge/kernel";
import type { Run } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import { rerunFrom } from "../runs/rerun.ts";
import type { RunReconciler } from "../runs/run-reconciler.ts";
import { DEFAULT_TEAM } from "../scheduling/job-demand.ts";
import { assertParametersKept, copyParameters } from "../secrets/run-secrets.ts";
import type { SecretVault } from "../secrets/secret-vault.ts";
import type { Stores } from "../stores.ts";

/** What reruns are made with. */
export interface RerunnerOptions {
  readonly stores: Pick<Stores, "runSecrets">;
  readonly runs: Pick<RunReconciler, "submit">;
  readonly vault: SecretVault;
  readonly clock: Clock;
}

/** Which run, and from where. */
export interface RerunRequest {
  readonly run: Run;
  /** Jobs that are in it. */
  readonly from: readonly string[];
  readonly principal: Principal;
}

/**
 * Stores a new run that repeats another one from some of its jobs on, secret parameters included.
 *
 * @throws KedgeError INVALID_FIELD while the run goes on, SECRET_NOT_FOUND when a secret parameter is no longer kept.
 */
export async function rerun(options: RerunnerOptions, { run, from, principal }: RerunRequest): Promise<Run> {
  const { stores, runs, vault, clock } = options;
  assertParametersKept(stores, run);
  const { name, team = DEFAULT_TEAM } = principal;
  const next = rerunFrom(run, from, { id: newId(clock), submittedBy: name, team, nowMs: clock.now() });
  await copyParameters(vault, run, next);
  return runs.submit(next);
}
