import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KedgeError } from "@kedge/domain";
import { readFileIfPresent } from "./atomic-file.ts";

/**
 * Claims a data folder for this process: two agents on one folder would run tasks twice. A lock whose owner is dead is
 * taken over.
 *
 * @returns releases the lock.
 * @throws KedgeError CONFLICT when another live process has it.
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const path = join(dataDir, "agent.lock");
  const own = `${process.pid} ${await startTime(process.pid)}`;
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, own, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      // A hard link is made by one process only, and the file has its content from the first moment.
      if (await tryLink(temporary, path)) return () => rm(path, { force: true });
      const owner = (await readFileIfPresent(path))?.toString("utf8") ?? "";
      const [pid = "", started = ""] = owner.split(" ");
      if (owner !== own && owner !== "" && (await startTime(Number(pid))) === started) {
        throw new KedgeError("CONFLICT", `process ${pid} is the agent of ${dataDir} already`, { field: "dataDir" });
      }
      await rm(path, { force: true });
    }
  } finally {
    await rm(temporary, { force: true });
  }
  throw new KedgeError("CONFLICT", `somebody else is starting an agent in ${dataDir}`, { field: "dataDir" });
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

/** Start time of a process in clock ticks since boot, or "gone". Tells a process from a later one of the same id. */
async function startTime(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""); // No such process.
  // The second field is the program's name in parentheses and may contain anything; start time is the 22nd.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" || fields[0] === "Z" ? "gone" : (fields[19] ?? "gone");
}
