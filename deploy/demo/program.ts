import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { systemClock } from "@kedge/kernel";

const POLL_MS = 50;

/** A program of the demo, in a process group of its own so that Ctrl-C reaches the demo alone. */
export class Program {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #ended: Promise<void>;

  constructor(command: readonly string[], options: { readonly log: string; readonly env: NodeJS.ProcessEnv }) {
    const [file = "", ...args] = command;
    const fd = openSync(options.log, "a");
    this.#child = spawn(file, args, { env: options.env, stdio: ["ignore", fd, fd], detached: true });
    closeSync(fd);
    this.#log = options.log;
    this.#ended = new Promise((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.once("error", () => resolve());
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits until the program's output matches. Fails with the output's end when it ends first or takes too long. */
  async output(pattern: RegExp, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const deadline = systemClock.monotonic() + timeoutMs;
    for (;;) {
      const text = readFileSync(this.#log, "utf8");
      if (pattern.test(text)) return;
      if (!this.running || systemClock.monotonic() > deadline) {
        const what = this.running ? `did not print ${pattern} in ${timeoutMs / 1000} s` : "ended";
        throw new Error(`${this.#child.spawnargs.slice(1, 4).join(" ")} ${what}:\n${text.slice(-2000).trim()}`);
      }
      await systemClock.sleep(POLL_MS, signal);
    }
  }

  /** SIGTERM, and SIGKILL after the grace. May be called twice. */
  async stop(graceMs: number): Promise<void> {
    if (!this.running) return;
    this.#child.kill("SIGTERM");
    const cancel = systemClock.after(graceMs, () => this.#child.kill("SIGKILL"));
    await this.#ended;
    cancel();
  }
}
