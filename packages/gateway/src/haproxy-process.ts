import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import type { GatewayPaths } from "./haproxy-config.ts";
import type { RuntimeSocket } from "./runtime-socket.ts";
import { replaceFile } from "./state-file.ts";

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 5;
const SOFT_STOP_MS = 5_000;

/** A process, told apart from later ones of the same number by its start time. */
interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot, from /proc. */
  readonly startTicks: string;
}

/** What HAProxy's process needs to be started and found again. */
export interface HaproxyProcessOptions {
  readonly haproxyPath: string;
  readonly paths: GatewayPaths;
  readonly socket: RuntimeSocket;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The HAProxy process: detached from this one, so that it outlives it and is found again. */
export class HaproxyProcess {
  readonly #options: HaproxyProcessOptions;
  #current: ProcessIdentity | undefined;
  #leaving: ProcessIdentity[] = [];

  constructor(options: HaproxyProcessOptions) {
    this.#options = options;
  }

  /** Tells whether HAProxy runs. */
  get isAlive(): boolean {
    return this.#current !== undefined && isRunning(this.#current);
  }

  /** Tells whether a HAProxy replaced by a reload still finishes requests. */
  get isLeaving(): boolean {
    this.#leaving = this.#leaving.filter(isRunning);
    return this.#leaving.length > 0;
  }

  /**
   * Takes over a HAProxy that answers on the runtime socket; its layout digest, or undefined when there is none. One
   * that runs without answering is ended.
   */
  async adopt(): Promise<string | undefined> {
    const recorded = readIdentity(this.#options.paths.process);
    try {
      const { pid, digest } = await this.#options.socket.identity();
      this.#current = identityOf(pid);
      return digest;
    } catch (error) {
      if (!isKedgeError(error, "GATEWAY_UNAVAILABLE")) throw error;
      if (recorded && isRunning(recorded)) await this.#end(recorded, 0);
      return undefined;
    }
  }

  /**
   * Starts HAProxy with the configuration file. One that runs hands over its listening sockets and ends when its
   * requests have, so no connection is refused. Resolves when the new one answers.
   *
   * @throws KedgeError GATEWAY_UNAVAILABLE with HAProxy's complaint.
   */
  async launch(): Promise<void> {
    const { haproxyPath, paths } = this.#options;
    const previous = this.#current && isRunning(this.#current) ? this.#current : undefined;
    const takeover = previous ? ["-x", paths.adminSocket, "-sf", String(previous.pid)] : [];
    const child = spawn(haproxyPath, ["-q", "-db", "-f", paths.config, ...takeover], {
      detached: true,
      stdio: "ignore",
    });
    child.on("error", (err) => this.#options.logger.error({ err }, "HAProxy could not be started"));
    child.unref();
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (identity === undefined || !(await this.#answers(identity))) {
      if (identity) await this.#end(identity, 0);
      throw new KedgeError("GATEWAY_UNAVAILABLE", "HAProxy did not start", { hint: this.#complaint() });
    }
    if (previous) this.#leaving.push(previous);
    this.#current = identity;
    replaceFile(paths.process, JSON.stringify(identity));
  }

  /** Ends HAProxy: requests in flight get five seconds. May be called twice. */
  async stop(): Promise<void> {
    const all = [...this.#leaving, ...(this.#current ? [this.#current] : [])];
    this.#leaving = [];
    this.#current = undefined;
    await Promise.all(all.map((identity) => this.#end(identity, SOFT_STOP_MS)));
  }

  async #answers(identity: ProcessIdentity): Promise<boolean> {
    const deadline = this.#options.clock.monotonic() + START_TIMEOUT_MS;
    while (isRunning(identity) && this.#options.clock.monotonic() < deadline) {
      // Not there yet, or still the one before.
      const answer = await this.#options.socket.identity().catch(() => undefined);
      if (answer?.pid === identity.pid) return true;
      await this.#options.clock.sleep(POLL_MS);
    }
    return false;
  }

  async #end(identity: ProcessIdentity, graceMs: number): Promise<void> {
    const deadline = this.#options.clock.monotonic() + graceMs;
    signal(identity, graceMs > 0 ? "SIGUSR1" : "SIGKILL");
    while (isRunning(identity)) {
      if (this.#options.clock.monotonic() > deadline) signal(identity, "SIGKILL");
      await this.#options.clock.sleep(POLL_MS);
    }
  }

  #complaint(): string {
    const { haproxyPath, paths } = this.#options;
    const check = spawnSync(haproxyPath, ["-c", "-f", paths.config], { encoding: "utf8", timeout: START_TIMEOUT_MS });
    return (check.error?.message ?? check.stderr ?? "").slice(0, 2000) || "is the port taken?";
  }
}

function identityOf(pid: number): ProcessIdentity | undefined {
  const startTicks = statOf(pid)?.[19];
  return startTicks === undefined ? undefined : { pid, startTicks };
}

function isRunning(identity: ProcessIdentity): boolean {
  const stat = statOf(identity.pid);
  return stat !== undefined && stat[19] === identity.startTicks && stat[0] !== "Z";
}

/** Fields of /proc/<pid>/stat from the third (state) on; proc(5). */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    // No such process.
    return undefined;
  }
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, name);
  } catch {
    // It ended in between.
  }
}

function readIdentity(path: string): ProcessIdentity | undefined {
  try {
    const { pid, startTicks } = JSON.parse(readFileSync(path, "utf8"));
    return Number.isInteger(pid) && pid > 1 ? { pid, startTicks: String(startTicks) } : undefined;
  } catch {
    // Never written, or unreadable: then there is nothing to find again.
    return undefined;
  }
}
