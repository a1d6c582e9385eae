import pino from "pino";

/** Structured logging: constant message, variables as fields (`nodeId`, `runId`, `deployment`, ...). */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
}

/** Fields of a log line. `err` is an Error; secrets under the usual names are redacted. */
export type LogFields = Readonly<Record<string, unknown>>;

/** How much is logged, and where to. */
export interface LoggerOptions {
  /** Name of the process, e.g. "controller". */
  readonly name: string;
  /** Default "info". */
  readonly level?: "debug" | "info" | "warn" | "error" | "silent";
  /** File descriptor; default 2, so that standard output stays for results. */
  readonly fd?: number;
}

const SECRETS = ["token", "secret", "seed", "password", "authorization", "jwt", "runToken"];

/** A logger writing one JSON object a line. */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      name: options.name,
      level: options.level ?? "info",
      redact: { paths: SECRETS.flatMap((key) => [key, `*.${key}`]), censor: "[redacted]" },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: options.fd ?? 2, sync: true }),
  );
}

/** A logger that drops everything. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
