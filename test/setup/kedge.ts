import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ENTRY = fileURLToPath(new URL("../../packages/cli/bin/kedge.mjs", import.meta.url));

/** How a `kedge` command ended. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one `kedge` command to its end. */
export async function kedge(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [ENTRY, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  await once(child, "close");
  return { code: child.exitCode, stdout, stderr };
}

/** A long-lived `kedge` process that can be killed and started again with the same arguments. */
export class KedgeProcess {
  readonly #args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #logFile: string;
  #child: ChildProcess;

  constructor(options: {
    readonly args: readonly string[];
    readonly env: NodeJS.ProcessEnv;
    readonly logFile: string;
  }) {
    this.#args = options.args;
    this.#env = options.env;
    this.#logFile = options.logFile;
    this.#child = this.#spawn();
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it and its predecessors printed. */
  get output(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  /** Sends a signal; for signals that end a process, waits for its end. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (!this.running) return;
    const ends = signal !== "SIGSTOP" && signal !== "SIGCONT";
    const exited = once(this.#child, "exit");
    this.#child.kill(signal);
    if (ends) await exited;
  }

  /** Starts it again; it must have ended. */
  restart(): void {
    if (this.running) throw new Error(`process ${this.pid} still runs`);
    this.#child = this.#spawn();
  }

  #spawn(): ChildProcess {
    const fd = openSync(this.#logFile, "a");
    const child = spawn(process.execPath, [ENTRY, ...this.#args], { env: this.#env, stdio: ["ignore", fd, fd] });
    closeSync(fd);
    return child;
  }
}
