import { readdir, readFile, readlink } from "node:fs/promises";
import { waitUntil } from "./wait-for.ts";

/** A process of this machine as /proc shows it. */
export interface FoundProcess {
  readonly pid: number;
  /** Arguments joined by spaces. */
  readonly command: string;
}

/**
 * Every live process that a folder betrays: it is named on the command line, or the process works inside it. Finds
 * what outlives its parent by design (HAProxy, replicas, steps) as well.
 */
export async function processesOf(folder: string): Promise<FoundProcess[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(pids.map((pid) => inspect(Number(pid), folder)));
  return found.filter((it) => it !== undefined);
}

async function inspect(pid: number, folder: string): Promise<FoundProcess | undefined> {
  try {
    const command = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ").trim();
    if (command === "") return undefined;
    const cwd = await readlink(`/proc/${pid}/cwd`);
    return command.includes(folder) || `${cwd}/`.startsWith(`${folder}/`) ? { pid, command } : undefined;
  } catch {
    return undefined; // it has ended meanwhile
  }
}

/** The one process of the folder whose command matches; fails when there is none or several. */
export async function processMatching(folder: string, pattern: RegExp): Promise<FoundProcess> {
  const all = await processesOf(folder);
  const [only, ...more] = all.filter(({ command }) => pattern.test(command));
  if (only !== undefined && more.length === 0) return only;
  throw new Error(`expected one process like ${pattern}, found ${JSON.stringify(only ? [only, ...more] : all)}`);
}

/** Whether a process is there and no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) Z /.test(stat);
}

/** Ends every process of the folder, again until none is left. */
export async function endProcessesOf(folder: string): Promise<void> {
  await waitUntil(`all processes of ${folder} end`, async () => {
    const seen = await processesOf(folder);
    for (const { pid } of seen) kill(pid, "SIGKILL");
    return { ok: seen.length === 0, seen };
  });
}

/** Signals a process; nothing when it has ended already. */
export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
