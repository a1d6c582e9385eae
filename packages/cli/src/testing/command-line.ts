import { join } from "node:path";
import { runCommandLine } from "../main.ts";
import type { Host } from "../session.ts";

/** What a command printed and exited with. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What is around a command. */
export interface CommandSurroundings extends Pick<Host, "ask"> {
  /** Of the contexts file. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Runs a command line in this process, with the contexts file in a folder of the test's own. */
export async function kedge(
  args: readonly string[],
  { folder, env = {}, signal = new AbortController().signal, ...more }: CommandSurroundings,
): Promise<CommandResult> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const code = await runCommandLine(["node", "kedge", ...args], {
    env: { KEDGE_CONFIG: join(folder, "config.json"), ...env },
    stdout: { write: (text) => stdout.push(text) },
    stderr: { write: (text) => stderr.push(text) },
    signal: () => signal,
    ...more,
  });
  return { code, stdout: stdout.join(""), stderr: stderr.join("") };
}
