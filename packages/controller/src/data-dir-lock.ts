import { realpath } from "node:fs/promises";
import { KedgeError } from "@kedge/domain";
import { takeMachineLock } from "./machine-lock.ts";

/**
 * Makes this process the only controller of a data folder, for as long as it lives: two would share the lease and
 * restart each other's NATS.
 *
 * @returns gives the folder up.
 * @throws KedgeError INVALID_OPTION when another controller holds it.
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const unlock = await takeMachineLock("controller", await realpath(dataDir));
  if (unlock !== undefined) return unlock;
  const message = `another controller runs with the data folder ${dataDir}`;
  throw new KedgeError("INVALID_OPTION", message, { field: "dataDir", hint: "stop it first" });
}
