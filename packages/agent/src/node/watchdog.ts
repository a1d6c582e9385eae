import { type ChildProcess, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Logger } from "@kedge/kernel";
import { secretsRoot } from "../secrets/secrets-folder.ts";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";
import { identifyProcess, parseIdentity, signalProcess } from "../state/process-identity.ts";
import { bootId } from "./boot-clock.ts";
import { WATCHDOG_SCRIPT } from "./watchdog-script.ts";

/** What a watchdog watches. */
export interface WatchdogOptions {
  readonly dataDir: string;
  /** How long tasks may run after the sending of the last renewal. */
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The agent itself acts at the end of the lease; the watchdog only where no agent did. */
const AFTER_AGENT_MS = 1000;
const RESTART_MS = 1000;

/**
 * The process that ends this node's tasks when the lease runs out and no agent is there to do it. Each agent starts its
 * own, which takes over from that of the agent before; one that dies is started again.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #child: ChildProcess | undefined;
  #cancelRestart: () => void = () => {};
  #released = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** Starts it, in the place of the one that another agent may have left. Rejects when the folder cannot be written. */
  async start(): Promise<void> {
    const { dataDir, leaseMs, logger } = this.#options;
    const script = join(dataDir, "watchdog.sh");
    await writeFileAtomic(script, WATCHDOG_SCRIPT);
    const self = await identifyProcess(process.pid);
    const limitMs = leaseMs + AFTER_AGENT_MS;
    const agent = [String(process.pid), self?.startTicks ?? "0"];
    const args = [script, dataDir, String(limitMs), ...agent, bootId(), secretsRoot(join(dataDir, "tasks"))];
    const env = { PATH: "/usr/bin:/bin" };
    const child = spawn("/bin/sh", args, { cwd: "/", env, detached: true, stdio: "ignore" });
    child.on("error", (error) => logger.error({ err: error }, "watchdog not started"));
    child.once("exit", (code, signal) => this.#ended(code, signal));
    child.unref();
    this.#child = child;
  }

  /** The agent leaves: the watchdog ends, at once or when the last task that was left running has. */
  release(): void {
    this.#released = true;
    this.#cancelRestart();
    this.#child?.kill("SIGTERM");
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = undefined;
    if (this.#released) return;
    const { clock, logger } = this.#options;
    logger.warn({ code, signal }, "watchdog ended, starting another");
    this.#cancelRestart = clock.after(RESTART_MS, () => {
      this.start().catch((error: unknown) => logger.error({ err: error }, "watchdog not started"));
    });
  }
}

/** Ends the watchdog of a data folder, whoever started it. */
export async function endWatchdog(dataDir: string): Promise<void> {
  const path = join(dataDir, "watchdog");
  const identity = parseIdentity((await readFileIfPresent(path))?.toString("utf8") ?? "");
  if (identity !== undefined) await signalProcess(identity, "SIGKILL");
  await rm(path, { force: true });
}
