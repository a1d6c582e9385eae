import { isKedgeError, KedgeError } from "@kedge/domain";
import { type Clock, jitter, type Logger } from "@kedge/kernel";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, jwtAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { busError } from "./nats-error.ts";

/** How to reach NATS and as whom. */
export interface BusOptions {
  /** `host:port`, several for a cluster. */
  readonly servers: readonly string[];
  /** The CA that must have signed the server's certificate. */
  readonly caPem: string;
  readonly jwt: string;
  /** nkey seed of the user. */
  readonly seed: Uint8Array;
  /** Shown in the server's connection list. */
  readonly name: string;
  /** Default `_INBOX`; a node's is `_INBOX.<id>`. */
  readonly inboxPrefix?: string;
  /** Default `$JS.API`; a node's is `KJS.API`. */
  readonly apiPrefix?: string;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Whether the bus can be used now. */
export type BusStatus = "connected" | "disconnected" | "closed";

/**
 * One connection to NATS that is re-made for ever. Everything else in this package takes a Bus. Publishing while
 * disconnected waits for the connection, up to the operation's time-out.
 */
export interface Bus {
  readonly name: string;
  readonly connected: boolean;
  /** Version of the server connected to last, e.g. "2.15.1". */
  readonly serverVersion: string;
  /** Grows with every reconnect; a consumer made under an older epoch may have lost messages. */
  readonly epoch: number;
  /** Calls back on every change; the result unsubscribes. */
  onStatus(callback: (status: BusStatus) => void): () => void;
  /** Sends what is buffered, then closes. May be called twice. */
  close(): Promise<void>;
  /** For this package's own modules. */
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly apiPrefix: string;
  readonly logger: Logger;
  readonly clock: Clock;
}

const CONNECT_TIMEOUT_MS = 5_000;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 5_000;
const CLOSE_TIMEOUT_MS = 3_000;

/**
 * Connects, trying until it works or the signal aborts; logs the first failure and every change of it.
 *
 * @throws KedgeError CANCELLED when the signal aborts first.
 */
export async function connectBus(options: BusOptions, signal: AbortSignal): Promise<Bus> {
  const apiPrefix = options.apiPrefix ?? "$JS.API";
  const connection = await connectUntil(options, signal);
  const js = jetstream(connection, { apiPrefix, timeout: 10_000 });
  const manager = await jetstreamManager(connection, { apiPrefix, checkAPI: false, timeout: 10_000 });
  return new NatsBus({ connection, js, manager, apiPrefix, options });
}

async function connectUntil(options: BusOptions, signal: AbortSignal): Promise<NatsConnection> {
  let lastMessage = "";
  for (let delay = RETRY_MIN_MS; ; delay = Math.min(RETRY_MAX_MS, delay * 2)) {
    if (signal.aborted) throw new KedgeError("CANCELLED", "connecting to NATS was given up", { cause: signal.reason });
    try {
      return await connect({
        servers: options.servers.map((server) => `tls://${server}`),
        tls: { ca: options.caPem },
        authenticator: jwtAuthenticator(options.jwt, options.seed),
        name: options.name,
        inboxPrefix: options.inboxPrefix ?? "_INBOX",
        timeout: CONNECT_TIMEOUT_MS,
        maxReconnectAttempts: -1,
        reconnectDelayHandler: () => RETRY_MIN_MS + jitter() * 800,
        ignoreAuthErrorAbort: true,
        // Else every request captures a stack for an error that hardly ever comes.
        noAsyncTraces: true,
        pingInterval: 5_000,
        maxPingOut: 2,
      });
    } catch (error) {
      const failure = busError(error, "connecting to NATS");
      const level = failure.message === lastMessage ? "debug" : "warn";
      options.logger[level]({ err: failure, servers: options.servers }, "cannot connect to NATS, retrying");
      lastMessage = failure.message;
    }
    await options.clock.sleep(delay * (0.5 + jitter() / 2), signal).catch((reason: unknown) => {
      throw new KedgeError("CANCELLED", "connecting to NATS was given up", { cause: reason });
    });
  }
}

interface Parts {
  readonly connection: NatsConnection;
  readonly js: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly apiPrefix: string;
  readonly options: BusOptions;
}

class NatsBus implements Bus {
  readonly name: string;
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly apiPrefix: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly #callbacks = new Set<(status: BusStatus) => void>();
  readonly #statusLoop: Promise<void>;
  #status: BusStatus = "connected";
  #epoch = 0;

  constructor({ connection, js, manager, apiPrefix, options }: Parts) {
    this.name = options.name;
    this.connection = connection;
    this.jetstream = js;
    this.manager = manager;
    this.apiPrefix = apiPrefix;
    this.logger = options.logger;
    this.clock = options.clock;
    this.#statusLoop = this.#followStatus();
  }

  get connected(): boolean {
    return this.#status === "connected";
  }

  get serverVersion(): string {
    return this.connection.info?.version ?? "unknown";
  }

  get epoch(): number {
    return this.#epoch;
  }

  onStatus(callback: (status: BusStatus) => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  async close(): Promise<void> {
    if (this.connection.isClosed()) return;
    const abort = new AbortController();
    const givingUp = this.clock.sleep(CLOSE_TIMEOUT_MS, abort.signal).catch(() => {});
    if (this.connected) await Promise.race([this.connection.flush().catch(() => {}), givingUp]);
    abort.abort();
    await this.connection.close();
    await this.#statusLoop;
  }

  async #followStatus(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === "disconnect") this.#change("disconnected");
      else if (status.type === "reconnect") {
        this.#epoch += 1;
        this.#change("connected");
      } else if (status.type === "error") this.logger.warn({ err: status.error }, "NATS reported an error");
    }
    this.#change("closed");
  }

  #change(status: BusStatus): void {
    if (status === this.#status && status !== "connected") return;
    this.#status = status;
    if (status !== "closed")
      this.logger.info({ status, server: this.connection.getServer() }, "NATS connection changed");
    for (const callback of this.#callbacks) this.#notify(callback, status);
  }

  #notify(callback: (status: BusStatus) => void, status: BusStatus): void {
    try {
      callback(status);
    } catch (error) {
      const err = isKedgeError(error) ? error : busError(error, "status callback");
      this.logger.error({ err }, "a status callback failed");
    }
  }
}

/** Tells whether the server is at least this version; servers of unknown version are taken to be old. */
export function serverAtLeast(bus: Pick<Bus, "serverVersion">, major: number, minor: number): boolean {
  const [haveMajor, haveMinor] = bus.serverVersion.split(".").map(Number);
  if (haveMajor === undefined || haveMinor === undefined || Number.isNaN(haveMajor)) return false;
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}
