import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** A process beyond doubt: a pid alone is used again after a while, not so together with the start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to the process's start. */
  readonly startTicks: string;
}

/** Reads a line of /proc/<pid>/stat (proc(5)); undefined when it is cut off or of no program. */
export function parseStat(line: string): (ProcessIdentity & { readonly ended: boolean }) | undefined {
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const pid = Number.parseInt(line, 10);
  const [state, startTicks] = [fields[0], fields[19]];
  if (!(pid > 1) || startTicks === undefined) return undefined;
  // A zombie has ended, its parent has only not asked for its code yet.
  return { pid, startTicks, ended: state === "Z" || state === "X" };
}

/** Tells whether the process still runs. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const found = await readStat(identity.pid);
  return found?.startTicks === identity.startTicks && !found.ended;
}

/** Tells whether the pid has been given to another process. */
export async function isReused(identity: ProcessIdentity): Promise<boolean> {
  const found = await readStat(identity.pid);
  return found !== undefined && found.startTicks !== identity.startTicks;
}

async function readStat(pid: number): Promise<ReturnType<typeof parseStat>> {
  try {
    return parseStat(await readFile(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined; // no such process, or it ended while being read
  }
}

/** Names this boot of the machine; start times are counted from it. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
