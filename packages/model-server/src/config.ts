import { parseArgs } from "node:util";
import { errorMessage, isName, KedgeError } from "@kedge/domain";

/** Log levels the server knows. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** The server's settings, checked. */
export interface ServerConfig {
  readonly modelDir: string;
  /** The deployment's name, as it stands in URLs. */
  readonly name: string;
  readonly version: string;
  readonly host: string;
  /** 0 = any free port; the log says which. */
  readonly port: number;
  readonly threads: number;
  readonly node: string | undefined;
  readonly revision: string | undefined;
  /** The file in which the node's agent keeps the feature flags. */
  readonly flagsFile: string | undefined;
  readonly maxRequestBytes: number;
  readonly maxConcurrency: number;
  readonly maxQueue: number;
  readonly requestTimeoutMs: number;
  readonly graceMs: number;
  readonly logLevel: LogLevel;
}

const DEFAULTS = {
  "model-dir": undefined,
  name: undefined,
  version: undefined,
  host: "127.0.0.1",
  port: undefined,
  threads: "1",
  node: undefined,
  revision: undefined,
  "flags-file": undefined,
  "max-request-bytes": String(16 * 1024 * 1024),
  "max-concurrency": "8",
  "max-queue": "64",
  "request-timeout-ms": "30000",
  "grace-ms": "10000",
  "log-level": "info",
} as const satisfies Record<string, string | undefined>;

type Flag = keyof typeof DEFAULTS;

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"];
const TOKEN = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_BODY_BYTES = 1024 ** 3;
const DAY_MS = 86_400_000;

/** The environment variable that stands in for a flag: `--port` is KEDGE_MODEL_PORT, `--model-dir` KEDGE_MODEL_DIR. */
export function environmentName(flag: Flag): string {
  const name = flag === "model-dir" ? "dir" : flag;
  return `KEDGE_MODEL_${name.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Reads flags, then the environment, then defaults.
 *
 * @throws KedgeError INVALID_OPTION naming the flag, what it expects and what came.
 */
export function readConfig(args: readonly string[], env: NodeJS.ProcessEnv): ServerConfig {
  const given = parseFlags(args);
  const text = (flag: Flag) => given[flag] ?? env[environmentName(flag)] ?? DEFAULTS[flag];
  const matching = (flag: Flag, expected: string, test: (value: string) => boolean): string => {
    const value = text(flag);
    if (value !== undefined && test(value)) return value;
    throw optionError(flag, expected, value);
  };
  const optionalToken = (flag: Flag) =>
    text(flag) === undefined ? undefined : matching(flag, "1 to 64 of [A-Za-z0-9._-]", (value) => TOKEN.test(value));
  const whole = (flag: Flag, min: number, max: number): number =>
    Number(
      matching(flag, `a whole number from ${min} to ${max}`, (value) => {
        return /^\d{1,15}$/.test(value) && Number(value) >= min && Number(value) <= max;
      }),
    );
  return {
    modelDir: matching("model-dir", "the folder of the model", (value) => value.length > 0),
    name: matching("name", "a deployment name (lower-case letters, digits, inner dashes)", (value) =>
      isName("deployment", value),
    ),
    version: matching("version", "1 to 64 of [A-Za-z0-9._-]", (value) => TOKEN.test(value)),
    host: matching("host", "an address to listen on", (value) => value.length > 0),
    port: whole("port", 0, 65_535),
    threads: whole("threads", 1, 256),
    node: optionalToken("node"),
    revision: optionalToken("revision"),
    flagsFile: text("flags-file"),
    maxRequestBytes: whole("max-request-bytes", 1, MAX_BODY_BYTES),
    maxConcurrency: whole("max-concurrency", 1, 1024),
    maxQueue: whole("max-queue", 0, 100_000),
    requestTimeoutMs: whole("request-timeout-ms", 1, DAY_MS),
    graceMs: whole("grace-ms", 0, DAY_MS),
    logLevel: LEVELS.find((level) => level === matching("log-level", LEVELS.join(", "), isLevel)) ?? "info",
  };
}

function isLevel(value: string): boolean {
  return LEVELS.some((level) => level === value);
}

function parseFlags(args: readonly string[]): Partial<Record<Flag, string>> {
  const options = Object.fromEntries(Object.keys(DEFAULTS).map((flag) => [flag, { type: "string" as const }]));
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values as Partial<
      Record<Flag, string>
    >;
  } catch (error) {
    throw new KedgeError("INVALID_OPTION", errorMessage(error), { cause: error });
  }
}

function optionError(flag: Flag, expected: string, value: string | undefined): KedgeError {
  const shown = value === undefined ? "nothing" : JSON.stringify(value.slice(0, 80));
  return new KedgeError(
    "INVALID_OPTION",
    `--${flag} (or ${environmentName(flag)}): expected ${expected}, got ${shown}`,
    { field: flag },
  );
}
