import { rename, rmdir } from "node:fs/promises";
import { KedgeError } from "@kedge/domain";

/**
 * Makes a finished folder appear where it is wanted, all at once.
 *
 * @throws KedgeError INVALID_OPTION when there is something already.
 */
export async function putInPlace(staging: string, folder: string): Promise<void> {
  await rmdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return;
    throw new KedgeError("INVALID_OPTION", `${folder} is not an empty folder`, { cause, field: "folder" });
  });
  await rename(staging, folder);
}
