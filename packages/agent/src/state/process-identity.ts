import { readFile } from "node:fs/promises";

/** A process beyond doubt: pids are used again, not so together with the start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to the process's start, from /proc/<pid>/stat (proc(5)). */
  readonly startTicks: string;
}

/** Who has this pid now; undefined when nobody has, or one that has ended. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""); // No such process.
  // The second field is the program's name in parentheses and may contain anything; start time is the 22nd.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTicks = fields[19];
  return startTicks === undefined || fields[0] === "Z" ? undefined : { pid, startTicks };
}

/** Reads what `formatIdentity` wrote; undefined for anything else. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  const match = /^(\d{1,10}) (\d{1,20})\s*$/.exec(text);
  return match?.[2] === undefined ? undefined : { pid: Number(match[1]), startTicks: match[2] };
}

/** One line: pid and start time. */
export function formatIdentity({ pid, startTicks }: ProcessIdentity): string {
  return `${pid} ${startTicks}`;
}

/** Tells whether the process still runs. */
export async function isRunning({ pid, startTicks }: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(pid))?.startTicks === startTicks;
}

/** Signals the process if it still runs; tells whether it did. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isRunning(identity))) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false; // It ended in between.
  }
}
