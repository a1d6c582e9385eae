import { isUtf8 } from "node:buffer";
import { openSecrets, type SecretValueMap } from "@kedge/bus";
import { errorMessage } from "@kedge/domain";
import type { SecretUse, TaskOffer, TaskRefFull } from "@kedge/proto";
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
}

/** Of a job that asks for none. */
export const NO_SECRETS: TaskSecrets = { values: new Map(), variables: {}, folder: undefined };

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
    else variables[use.env] = textOf(use, value);
  }
  if (files.size === 0) return { values, variables, folder: undefined };
  const folder = secretsFolder(directory);
  await writeSecretFiles(folder, files);
  return { values, variables, folder };
}

function opened(sealed: Uint8Array, sealKey: Uint8Array, ref: TaskRefFull): SecretValueMap {
  try {
    return openSecrets(sealed, sealKey, ref);
  } catch (cause) {
    throw new StepFailure("INFRASTRUCTURE", errorMessage(cause), { cause });
  }
}

function valueFor({ secret }: SecretUse, values: SecretValueMap): Uint8Array {
  const value = values.get(secret);
  if (value !== undefined) return value;
  throw new StepFailure("INVALID", `secret ${secret} did not come with the task`);
}

function textOf({ secret, env }: SecretUse, value: Uint8Array): string {
  if (isUtf8(value) && !value.includes(0)) return Buffer.from(value).toString("utf8");
  throw new StepFailure("INVALID", `secret ${secret} is no text that ${env} could be; take it as a file`);
}
