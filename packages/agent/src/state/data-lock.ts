import { link, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KedgeError } from "@kedge/domain";
import { readFileIfPresent } from "./atomic-file.ts";
import { formatIdentity, identifyProcess, isRunning, type ProcessIdentity, parseIdentity } from "./process-identity.ts";

const LOCK_FILE = "agent.lock";

/**
 * Claims a data folder for this process: two agents on one folder would run tasks twice. A lock whose owner is dead is
 * taken over.
 *
 * @returns releases the lock.
 * @throws KedgeError CONFLICT when another live process has it.
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const path = join(dataDir, LOCK_FILE);
  const self = await identifyProcess(process.pid);
  const own = formatIdentity(self ?? { pid: process.pid, startTicks: "0" });
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, own, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      // A hard link is made by one process only, and the file has its content from the first moment.
      if (await tryLink(temporary, path)) return () => rm(path, { force: true });
      const owner = await lockOwner(dataDir);
      if (owner !== undefined) {
        throw new KedgeError("CONFLICT", `process ${owner.pid} is the agent of ${dataDir} already`, {
          field: "dataDir",
        });
      }
      await rm(path, { force: true });
    }
  } finally {
    await rm(temporary, { force: true });
  }
  throw new KedgeError("CONFLICT", `somebody else is starting an agent in ${dataDir}`, { field: "dataDir" });
}

/** The live process that has claimed a data folder. */
export async function lockOwner(dataDir: string): Promise<ProcessIdentity | undefined> {
  const owner = parseIdentity((await readFileIfPresent(join(dataDir, LOCK_FILE)))?.toString("utf8") ?? "");
  return owner !== undefined && (await isRunning(owner)) ? owner : undefined;
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}
