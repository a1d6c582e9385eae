/** What a server's configuration depends on. All paths are absolute. */
export interface NatsConfigOptions {
  readonly serverName: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly port: number;
  /** Folder for streams and for account claims. */
  readonly dataDir: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Absent: standard error. */
  readonly logFile?: string;
  /** Version of the server that will read it, e.g. "2.15.1". */
  readonly serverVersion: string;
  /** Most bytes on disk; default 64 GiB. */
  readonly maxStoreBytes?: number;
  /** Flush every write to disk before it is acknowledged; default true, effective from 2.10 on. */
  readonly syncAlways?: boolean;
}

/** The trust chain, as tokens. */
export interface NatsTrust {
  readonly operatorJwt: string;
  readonly systemAccount: string;
  /** Public key → token of the accounts the server must know before anybody connects. */
  readonly accounts: Readonly<Record<string, string>>;
}

const DEFAULT_STORE_BYTES = 64 * 1024 ** 3;

/** The text of a nats-server configuration file. */
export function renderNatsConfig(options: NatsConfigOptions, trust: NatsTrust): string {
  const [major = 0, minor = 0] = options.serverVersion.split(".").map(Number);
  const since210 = major > 2 || (major === 2 && minor >= 10);
  const preload = Object.entries(trust.accounts).map(([key, jwt]) => `  ${key}: ${jwt}`);
  return [
    `server_name: ${text(options.serverName)}`,
    `listen: ${text(`${options.host ?? "127.0.0.1"}:${options.port}`)}`,
    ...(options.logFile === undefined ? [] : logFileLines(options.logFile, since210)),
    "max_payload: 1MB",
    'write_deadline: "10s"',
    "tls {",
    `  cert_file: ${text(options.certFile)}`,
    `  key_file: ${text(options.keyFile)}`,
    "  timeout: 5",
    "}",
    "jetstream {",
    `  store_dir: ${text(`${options.dataDir}/jetstream`)}`,
    `  max_file_store: ${options.maxStoreBytes ?? DEFAULT_STORE_BYTES}`,
    "  max_memory_store: 268435456",
    ...(since210 && options.syncAlways !== false ? ["  sync_interval: always"] : []),
    "}",
    `operator: ${trust.operatorJwt}`,
    `system_account: ${trust.systemAccount}`,
    `resolver: { type: full, dir: ${text(`${options.dataDir}/accounts`)}, allow_delete: false, interval: "2m" }`,
    "resolver_preload: {",
    ...preload,
    "}",
    "",
  ].join("\n");
}

function logFileLines(path: string, since210: boolean): string[] {
  return [`log_file: ${text(path)}`, "logfile_size_limit: 16MB", ...(since210 ? ["logfile_max_num: 3"] : [])];
}

function text(value: string): string {
  return JSON.stringify(value);
}
