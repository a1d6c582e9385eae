import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isRunEnded, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type Parameter, ParameterType, type Run, RunState, type Secret } from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { runSecretKey, type SecretVault } from "./secret-vault.ts";

/** What stands for a secret value wherever parameters are shown. */
export const HIDDEN = "***";

/** A run that did not succeed may be retried with its secret parameters for so long after its end. */
export const KEPT_AFTER_END_MS = 24 * 3_600_000;
/** A value whose run is not there yet is about to get it; after this long it never will. */
const ORPHAN_AFTER_MS = 600_000;

/** Parameters as a run may show them, and the values that it may not. */
export interface SplitParameters {
  readonly shown: Record<string, string>;
  readonly secret: ReadonlyMap<string, string>;
}

/** Takes the values of secret parameters out. */
export function splitParameters(
  declared: readonly Parameter[],
  given: Readonly<Record<string, string>>,
): SplitParameters {
  const shown: Record<string, string> = { ...given };
  const secret = new Map<string, string>();
  for (const { name, type } of declared) {
    const value = given[name];
    if (type !== ParameterType.SECRET || value === undefined) continue;
    secret.set(name, value);
    shown[name] = HIDDEN;
  }
  return { shown, secret };
}

/**
 * Keeps the secret parameters of a run that is about to be stored.
 *
 * @throws KedgeError INVALID_FIELD for an empty value, SECRET_KEY_LOST, BUS_UNAVAILABLE.
 */
export async function keepParameters(
  vault: SecretVault,
  runId: string,
  { secret, by }: { readonly secret: ReadonlyMap<string, string>; readonly by: string },
): Promise<void> {
  for (const [name, value] of secret) {
    if (value === "")
      throw new KedgeError("INVALID_FIELD", `parameter ${name} is empty`, { field: `parameters.${name}` });
    await vault.setOfRun(runId, name, { value: Buffer.from(value), by });
  }
}

/** Keeps what a run has of secret parameters for one that repeats it, too. Fails like `assertParametersKept`. */
export async function copyParameters(
  vault: SecretVault,
  run: Run,
  { id, submittedBy }: Pick<Run, "id" | "submittedBy">,
): Promise<void> {
  for (const name of run.secretParameters) {
    const value = await vault.valueOfRun(run.id, name);
    await vault.setOfRun(id, name, { value, by: submittedBy });
  }
}

/**
 * Refuses to start jobs over that would miss their secret parameters.
 *
 * @throws KedgeError SECRET_NOT_FOUND, naming the first.
 */
export function assertParametersKept({ runSecrets }: Pick<Stores, "runSecrets">, run: Run): void {
  const gone = run.secretParameters.find((name) => runSecrets.get(runSecretKey(run.id, name)) === undefined);
  if (gone === undefined) return;
  throw new KedgeError("SECRET_NOT_FOUND", `the value of parameter ${gone} of run ${run.id} is no longer kept`, {
    field: `parameters.${gone}`,
    hint: "submit a new run",
  });
}

/** Forgets secret parameters of runs that need them no more. To be called now and then. */
export async function collectRunSecrets(stores: Pick<Stores, "runs" | "runSecrets">, clock: Clock): Promise<void> {
  const nowMs = clock.now();
  for (const [key, { value, revision }] of [...stores.runSecrets.entries()]) {
    const run = stores.runs.get(key.slice(0, key.indexOf(".")))?.value;
    if (isNeeded(run, value, nowMs)) continue;
    await stores.runSecrets.delete(key, revision);
  }
}

function isNeeded(run: Run | undefined, { updatedAt }: Secret, nowMs: number): boolean {
  if (run === undefined) return updatedAt !== undefined && nowMs - timestampMs(updatedAt) < ORPHAN_AFTER_MS;
  if (!isRunEnded(run.state)) return true;
  const endedMs = run.finishedAt === undefined ? nowMs : timestampMs(run.finishedAt);
  return run.state !== RunState.SUCCEEDED && nowMs - endedMs < KEPT_AFTER_END_MS;
}
