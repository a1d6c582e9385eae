import { terminationSignal } from "@kedge/kernel";
import { EXIT_CODES } from "./exit-codes.ts";
import { reportError } from "./print-error.ts";
import { buildProgram } from "./program.ts";
import type { Host } from "./session.ts";

/** Runs one command line and answers the exit code. Does not throw. */
export async function runCommandLine(argv: readonly string[], host: Host): Promise<number> {
  try {
    await buildProgram(host).parseAsync(argv);
    return EXIT_CODES.ok.code;
  } catch (error) {
    const exit = reportError(error, Boolean(host.env["KEDGE_DEBUG"]), (text) => host.stderr.write(text));
    return EXIT_CODES[exit].code;
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
  };
  // A reader that closes the pipe early (`kedge logs | head`) has what it wants.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  process.exitCode = await runCommandLine(argv, host);
}
