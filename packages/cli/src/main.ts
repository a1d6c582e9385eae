import { terminationSignal } from "@kedge/kernel";
import { agentCommands } from "./commands/agent.ts";
import { EXIT_CODES } from "./exit-codes.ts";
import { reportError } from "./print-error.ts";
import { buildProgram } from "./program.ts";
import type { CommandGroup, Host } from "./session.ts";

/** Runs one command line and answers the exit code. Does not throw. */
export async function runCommandLine(argv: readonly string[], host: Host): Promise<number> {
  try {
    await buildProgram(host, await commandGroups(argv)).parseAsync(argv);
    return EXIT_CODES.ok.code;
  } catch (error) {
    const exit = reportError(error, Boolean(host.env["KEDGE_DEBUG"]), (text) => host.stderr.write(text));
    return EXIT_CODES[exit].code;
  }
}

/** The agent stays in memory for months: it alone comes without the other commands and what they need. */
async function commandGroups([, , name]: readonly string[]): Promise<readonly CommandGroup[]> {
  return name === "agent" ? [agentCommands] : (await import("./command-groups.ts")).COMMAND_GROUPS;
}

function startOver(argument: string): void {
  const { argv, env, execArgv, execPath } = process;
  process.execve?.(execPath, [execPath, ...execArgv, ...argv.slice(1), argument], env);
}

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question(question, { signal });
  } finally {
    terminal.close();
  }
}

/** Runs the process's command line and sets its exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  let signal: AbortSignal | undefined;
  const host: Host = {
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: () => {
      signal ??= terminationSignal();
      return signal;
    },
    ...(process.stdin.isTTY ? { ask } : {}),
    ...(process.execve === undefined ? {} : { startOver }),
  };
  // A reader that closes the pipe early (`kedge logs | head`) has what it wants.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  process.exitCode = await runCommandLine(argv, host);
}
