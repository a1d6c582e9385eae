import { join, resolve } from "node:path";
import { KedgeError } from "@kedge/domain";
import { type Clock, type Logger, systemClock } from "@kedge/kernel";

/** How a controller runs. */
export interface ControllerOptions {
  /** Folder for keys, certificates and the embedded NATS server's data; made when missing. */
  readonly dataDir: string;
  /** host:port of the gRPC service. Default 127.0.0.1:7460; port 0 takes a free one. */
  readonly listen?: string;
  /** host:port of the embedded NATS server. Default 127.0.0.1:7461; port 0 takes a free one, kept for later starts. */
  readonly natsListen?: string;
  /**
   * host:port of a NATS server that runs elsewhere with what `writeNatsConfig` wrote; then none is started, and nodes
   * are sent there.
   */
  readonly natsExternal?: string;
  /** host:port of /metrics, /healthz and /readyz. Default 127.0.0.1:7462; port 0 takes a free one. */
  readonly httpListen?: string;
  /** Host that agents and clients use to reach this machine; also in the certificate. Default: the host of `listen`. */
  readonly advertise?: string;
  /** Path of nats-server; default: KEDGE_NATS_SERVER, the set-up's own, then PATH. */
  readonly natsServer?: string;
  /**
   * File with the key that secrets are encrypted with, for several controllers to share; made when missing. Default:
   * KEDGE_SECRET_KEY_FILE, then `<dataDir>/secrets.key`.
   */
  readonly secretKeyFile?: string;
  /** Environment that the search for nats-server looks at. */
  readonly env?: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** The same with every value there and checked. */
export interface ControllerConfig {
  readonly dataDir: string;
  readonly listen: HostPort;
  readonly natsListen: HostPort;
  readonly natsExternal: HostPort | undefined;
  readonly httpListen: HostPort;
  readonly advertise: string;
  readonly secretKeyFile: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** An address to listen on. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Fills in defaults. @throws KedgeError INVALID_OPTION, naming the option. */
export function resolveControllerOptions(options: ControllerOptions): ControllerConfig {
  if (options.dataDir === "") throw new KedgeError("INVALID_OPTION", "dataDir is empty", { field: "dataDir" });
  const listen = parseHostPort("listen", options.listen ?? "127.0.0.1:7460");
  const env = options.env ?? {};
  return {
    dataDir: resolve(options.dataDir),
    listen,
    natsListen: parseHostPort("natsListen", options.natsListen ?? "127.0.0.1:7461"),
    natsExternal: options.natsExternal === undefined ? undefined : parseHostPort("natsExternal", options.natsExternal),
    httpListen: parseHostPort("httpListen", options.httpListen ?? "127.0.0.1:7462"),
    advertise: options.advertise ?? (listen.host === "0.0.0.0" ? "127.0.0.1" : listen.host),
    secretKeyFile: resolve(
      options.secretKeyFile ?? (env["KEDGE_SECRET_KEY_FILE"] || join(options.dataDir, "secrets.key")),
    ),
    env: options.natsServer === undefined ? env : { ...env, KEDGE_NATS_SERVER: options.natsServer },
    logger: options.logger,
    clock: options.clock ?? systemClock,
  };
}

/** Parses "host:port". @throws KedgeError INVALID_OPTION. */
export function parseHostPort(option: string, text: string): HostPort {
  const match = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] !== undefined && port <= 65_535) return { host: match[1], port };
  throw new KedgeError("INVALID_OPTION", `${option}: expected host:port, got ${JSON.stringify(text)}`, {
    field: option,
  });
}
