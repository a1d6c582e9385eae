import { isUtf8 } from "node:buffer";
import { openSecrets, type SecretValueMap } from "@kedge/bus";
import { errorMessage, registryHost } from "@kedge/domain";
import type { RegistryUse, SecretUse, TaskOffer, TaskRefFull } from "@kedge/proto";
import type { RegistryLogins } from "@kedge/runtime";
import { StepFailure } from "../steps/step-failure.ts";
import { secretsFolder, writeSecretFiles } from "./secrets-folder.ts";

/** What a task is given while it runs, and only in memory but for its files. */
export interface TaskSecrets {
  /** By name; of a secret parameter "parameters.<name>". */
  readonly values: SecretValueMap;
  /** For the environment of run steps. */
  readonly variables: Readonly<Record<string, string>>;
  /** Folder with the secrets that the job wants as files; undefined when it wants none. */
  readonly folder: string | undefined;
  /** For the images that the job pulls, builds on and pushes. */
  readonly logins: RegistryLogins;
}

/** Of a job that asks for none. */
export const NO_SECRETS: TaskSecrets = { values: new Map(), variables: {}, folder: undefined, logins: new Map() };

/** A task whose secrets are opened. */
export interface SealedTask {
  readonly ref: TaskRefFull;
  readonly offer: Pick<TaskOffer, "job" | "sealedSecrets">;
  /** The task's folder. */
  readonly directory: string;
}

/**
 * Opens what the controller sealed for a task, and writes the files that the job wants. An agent that takes the task up does
 * so again: the record on the disk has them sealed only.
 *
 * @param sealKey the node's private half.
 * @throws StepFailure INFRASTRUCTURE when they are not for this node and task; INVALID when a value cannot be what the job
 *   wants it to be.
 */
export async function openTaskSecrets(
  { ref, offer, directory }: SealedTask,
  sealKey: Uint8Array,
): Promise<TaskSecrets> {
  if (offer.sealedSecrets.byteLength === 0) return NO_SECRETS;
  const values = opened(offer.sealedSecrets, sealKey, ref);
  const variables: Record<string, string> = {};
  const files = new Map<string, Uint8Array>();
  for (const use of offer.job?.secrets ?? []) {
    const value = valueFor(use, values);
    if (use.env === "") files.set(use.file, value);
    else variables[use.env] = textOf(use.env, { secret: use.secret, value });
  }
  const logins = new Map(
    (offer.job?.registries ?? []).map((use) => [registryHost(use.registry), loginOf(use, values)] as const),
  );
  if (files.size === 0) return { values, variables, logins, folder: undefined };
  const folder = secretsFolder(directory);
  await writeSecretFiles(folder, files);
  return { values, variables, logins, folder };
}

function opened(sealed: Uint8Array, sealKey: Uint8Array, ref: TaskRefFull): SecretValueMap {
  try {
    return openSecrets(sealed, sealKey, ref);
  } catch (cause) {
    throw new StepFailure("INFRASTRUCTURE", errorMessage(cause), { cause });
  }
}

function loginOf({ registry, username, usernameSecret, passwordSecret }: RegistryUse, values: SecretValueMap) {
  const text = (secret: string): string =>
    textOf(`a login to ${registry}`, { secret, value: valueFor({ secret }, values) });
  return {
    username: usernameSecret === "" ? username : text(usernameSecret),
    password: text(passwordSecret),
  };
}

function valueFor({ secret }: Pick<SecretUse, "secret">, values: SecretValueMap): Uint8Array {
  const value = values.get(secret);
  if (value !== undefined) return value;
  throw new StepFailure("INVALID", `secret ${secret} did not come with the task`);
}

function textOf(what: string, { secret, value }: { readonly secret: string; readonly value: Uint8Array }): string {
  if (isUtf8(value) && !value.includes(0)) return Buffer.from(value).toString("utf8");
  throw new StepFailure("INVALID", `secret ${secret} is no text that ${what} could be; take it as a file`);
}
