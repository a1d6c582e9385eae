import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** A process beyond doubt: a pid alone is used again after a while, not so together with the start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to the process's start. */
  readonly startTicks: string;
}

/** Reads a line of /proc/<pid>/stat (proc(5)); undefined when it is cut off or of a zombie. */
export function parseStat(line: string): ProcessIdentity | undefined {
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const pid = Number.parseInt(line, 10);
  const [state, startTicks] = [fields[0], fields[19]];
  if (!(pid > 1) || startTicks === undefined || state === "Z" || state === "X") return undefined;
  return { pid, startTicks };
}

/** Tells whether the process still runs; false once it is a zombie. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  try {
    return parseStat(await readFile(`/proc/${identity.pid}/stat`, "utf8"))?.startTicks === identity.startTicks;
  } catch {
    return false; // no such process, or it ended while being read
  }
}

/** Names this boot of the machine; start times are counted from it. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
