import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { KedgeError } from "@kedge/domain";
import { type Clock, type Component, freePort, type Logger } from "@kedge/kernel";
import type { Authority } from "./authority.ts";
import type { NatsBinary } from "./nats-binary.ts";
import type { NatsConfigOptions } from "./nats-config.ts";
import { writeNatsFiles } from "./nats-files.ts";
import { endServer, greetingServerName, isOurServer, startDetached } from "./nats-process.ts";
import { readTextFile, writePrivateFile } from "./private-file.ts";

/** How the embedded server runs. */
export interface EmbeddedNatsOptions {
  /** Folder of its own for configuration, data and log. */
  readonly dir: string;
  readonly binary: NatsBinary;
  readonly authority: Authority;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: a free port, chosen once and kept in the folder. */
  readonly port?: number;
  /** Most bytes on disk; default 64 GiB. */
  readonly maxStoreBytes?: number;
  /** Flush each write before acknowledging it; default true. For measuring only. */
  readonly syncAlways?: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface RunState {
  readonly pid: number;
  /** Digest of everything the server was started with. */
  readonly fingerprint: string;
}

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const WATCH_MS = 500;
const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 15_000;

/**
 * A nats-server of our own. It runs detached: when this process is killed the server goes on, and the next `start`
 * adopts it if it was started with the same settings, else replaces it. A server that dies is started again with
 * growing pauses. Only `stop` ends it.
 */
export class EmbeddedNats implements Component {
  readonly name = "embedded-nats";
  readonly #options: EmbeddedNatsOptions;
  readonly #configFile: string;
  readonly #stateFile: string;
  #port = 0;
  #pid = 0;
  #abort = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor(options: EmbeddedNatsOptions) {
    this.#options = options;
    this.#configFile = join(resolve(options.dir), "nats.conf");
    this.#stateFile = join(resolve(options.dir), "nats.json");
  }

  /** `host:port` for `connectBus`, after start. */
  get address(): string {
    return `${this.#host}:${this.#port}`;
  }

  /** The server's process id, after start; another one after it died and was started again. */
  get pid(): number {
    return this.#pid;
  }

  get #logFile(): string {
    return join(resolve(this.#options.dir), "nats.log");
  }

  get #host(): string {
    return this.#options.host ?? "127.0.0.1";
  }

  /**
   * Resolves when the server answers.
   *
   * @throws KedgeError PROCESS_FAILED, with the end of the server's log, when it does not come up.
   */
  async start(signal: AbortSignal): Promise<void> {
    this.#abort = new AbortController();
    await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
    this.#port = await this.#choosePort();
    const adopted = await this.#adopt();
    if (!adopted) await this.#launch(signal);
    this.#options.logger.info({ pid: this.#pid, address: this.address, adopted }, "NATS server is running");
    this.#watching = this.#watch();
  }

  /** Lets go of the server, which runs on for whoever adopts it. May be called twice. */
  async detach(): Promise<void> {
    this.#abort.abort();
    await this.#watching;
  }

  /** Ends the server and waits until it is gone. May be called twice. */
  async stop(): Promise<void> {
    await this.detach();
    if (this.#pid !== 0) await endServer(this.#pid, this.#configFile, this.#options.clock);
    this.#pid = 0;
  }

  async #choosePort(): Promise<number> {
    const wanted = this.#options.port ?? 0;
    if (wanted !== 0) return wanted;
    const file = join(this.#options.dir, "port");
    const kept = Number(await readTextFile(file));
    if (Number.isInteger(kept) && kept > 0) return kept;
    const port = await freePort(this.#host);
    await writePrivateFile(file, String(port));
    return port;
  }

  async #adopt(): Promise<boolean> {
    const text = await readTextFile(this.#stateFile);
    if (text === undefined) return false;
    const state: RunState = JSON.parse(text);
    if (!(await isOurServer(state.pid, this.#configFile))) return false;
    const isCurrent = state.fingerprint === this.#fingerprint();
    if (isCurrent && (await this.#answers())) {
      this.#pid = state.pid;
      return true;
    }
    await endServer(state.pid, this.#configFile, this.#options.clock);
    return false;
  }

  async #launch(signal: AbortSignal): Promise<void> {
    const { authority, binary, clock } = this.#options;
    await writeNatsFiles(this.#configFile, this.#config(), authority);
    this.#pid = await startDetached(binary.path, this.#configFile);
    const state: RunState = { pid: this.#pid, fingerprint: this.#fingerprint() };
    await writePrivateFile(this.#stateFile, JSON.stringify(state));
    const deadline = clock.monotonic() + START_TIMEOUT_MS;
    while (!(await this.#answers())) {
      const isAlive = await isOurServer(this.#pid, this.#configFile);
      if (!isAlive || clock.monotonic() > deadline || signal.aborted) await this.#fail(signal);
      await clock.sleep(POLL_MS);
    }
  }

  async #fail(signal: AbortSignal): Promise<never> {
    await endServer(this.#pid, this.#configFile, this.#options.clock);
    this.#pid = 0;
    if (signal.aborted) throw new KedgeError("CANCELLED", "starting NATS was given up", { cause: signal.reason });
    const log = await readFile(this.#logFile, "utf8").catch(() => "");
    const tail = log.trimEnd().split("\n").slice(-3).join("\n");
    throw new KedgeError("PROCESS_FAILED", `nats-server did not come up on ${this.address}: ${tail}`);
  }

  async #answers(): Promise<boolean> {
    return (await greetingServerName(this.#host, this.#port)) === this.#config().serverName;
  }

  async #watch(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#abort;
    let backoffMs = BACKOFF_MIN_MS;
    while (!signal.aborted) {
      await clock.sleep(WATCH_MS, signal).catch(() => {});
      if (signal.aborted) return;
      if (await isOurServer(this.#pid, this.#configFile)) {
        backoffMs = Math.max(BACKOFF_MIN_MS, backoffMs / 2);
        continue;
      }
      logger.warn({ pid: this.#pid, backoffMs }, "NATS server died, starting it again");
      await clock.sleep(backoffMs, signal).catch(() => {});
      backoffMs = Math.min(BACKOFF_MAX_MS, backoffMs * 2);
      if (!signal.aborted)
        await this.#launch(signal).catch((err) => logger.error({ err }, "NATS server did not start"));
    }
  }

  /** Changes with everything that a running server would have to be restarted for. */
  #fingerprint(): string {
    const { authority, binary } = this.#options;
    const parts = [this.#config(), binary, authority.caFingerprint, authority.serverCertificate.certPem];
    return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  }

  #config(): NatsConfigOptions {
    const { binary, maxStoreBytes, syncAlways } = this.#options;
    const dir = resolve(this.#options.dir);
    return {
      serverName: `kedge-${createHash("sha256").update(dir).digest("hex").slice(0, 12)}`,
      host: this.#host,
      port: this.#port,
      dataDir: join(dir, "data"),
      certFile: join(dir, "server.crt"),
      keyFile: join(dir, "server.key"),
      logFile: this.#logFile,
      serverVersion: binary.version,
      ...(maxStoreBytes === undefined ? {} : { maxStoreBytes }),
      ...(syncAlways === undefined ? {} : { syncAlways }),
    };
  }
}
