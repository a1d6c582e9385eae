import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { KedgeError } from "@kedge/domain";

/** How to reach one controller. */
export interface KedgeContext {
  /** `host:port`. */
  readonly address: string;
  /** CA of the controller's certificate; absent: the CAs Node trusts. */
  readonly caPem?: string;
  readonly token?: string;
}

/** The contexts file. */
export interface ContextsFile {
  /** Name of the context in use; empty: none. */
  readonly current: string;
  readonly contexts: Readonly<Record<string, KedgeContext>>;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What takes precedence over the file. */
export interface LoadContextOptions {
  /** Context to use instead of the current one. */
  readonly name?: string;
  /** Explicit settings; they win over the environment, which wins over the file. */
  readonly address?: string;
  readonly token?: string;
  readonly caFile?: string;
  /** Default: the process's. Read: KEDGE_ADDRESS, KEDGE_TOKEN, KEDGE_CA_FILE, KEDGE_CA_PEM (the text itself), KEDGE_CONFIG, XDG_CONFIG_HOME. */
  readonly env?: Environment;
}

/** Where the contexts file is: KEDGE_CONFIG, else kedge/config.json in the user's configuration folder. */
export function contextsPath(env: Environment = process.env): string {
  const folder = env["XDG_CONFIG_HOME"] || join(homedir(), ".config");
  return env["KEDGE_CONFIG"] || join(folder, "kedge", "config.json");
}

/**
 * The contexts on file; none when there is no file.
 *
 * @throws KedgeError INVALID_OPTION when the file is not what `saveContext` writes.
 */
export async function readContexts(env: Environment = process.env): Promise<ContextsFile> {
  const path = contextsPath(env);
  try {
    return checked(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return { current: "", contexts: {} };
    throw new KedgeError("INVALID_OPTION", `${path} is not a readable contexts file`, { cause, field: "KEDGE_CONFIG" });
  }
}

/**
 * The connection to use: settings given, then environment, then file.
 *
 * @throws KedgeError INVALID_OPTION when no address is known, the named context does not exist, or a file is unreadable.
 */
export async function loadContext(options: LoadContextOptions = {}): Promise<KedgeContext> {
  const env = options.env ?? process.env;
  const file = await readContexts(env);
  const name = options.name ?? file.current;
  const saved = Object.hasOwn(file.contexts, name) ? file.contexts[name] : undefined;
  if (options.name !== undefined && saved === undefined) throw unknownContext(options.name, file);
  const address = options.address || env["KEDGE_ADDRESS"] || saved?.address;
  if (address === undefined) {
    throw new KedgeError("INVALID_OPTION", "no controller is known", {
      field: "address",
      hint: "Start one with kedge up, or give --address or KEDGE_ADDRESS.",
    });
  }
  const token = options.token || env["KEDGE_TOKEN"] || saved?.token;
  const caFile = options.caFile || env["KEDGE_CA_FILE"];
  const caPem = caFile ? await readCa(caFile) : env["KEDGE_CA_PEM"] || saved?.caPem;
  return { address, ...(caPem === undefined ? {} : { caPem }), ...(token === undefined ? {} : { token }) };
}

/**
 * Writes a context and makes it the current one. The file is replaced whole and readable by its owner alone. Of two
 * writers at the same time, the later one wins.
 */
export async function saveContext(name: string, context: KedgeContext, env: Environment = process.env): Promise<void> {
  const path = contextsPath(env);
  const file = await readContexts(env);
  const next: ContextsFile = { current: name, contexts: { ...file.contexts, [name]: context } };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(temporary, `${JSON.stringify(next, undefined, 2)}\n`, { mode: 0o600, flag: "wx", flush: true });
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

function unknownContext(name: string, file: ContextsFile): KedgeError {
  const known = Object.keys(file.contexts).join(", ") || "none";
  return new KedgeError("INVALID_OPTION", `no context is called ${JSON.stringify(name)}`, {
    field: "context",
    hint: `Known: ${known}.`,
  });
}

async function readCa(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: unknown) => {
    throw new KedgeError("INVALID_OPTION", `cannot read the CA file ${path}`, { cause, field: "KEDGE_CA_FILE" });
  });
}

function checked(value: unknown): ContextsFile {
  if (!isRecord(value) || typeof value["current"] !== "string" || !isRecord(value["contexts"])) {
    throw new TypeError("expected { current, contexts }");
  }
  const contexts = Object.entries(value["contexts"]).map(([name, entry]) => [name, checkedContext(entry)] as const);
  return { current: value["current"], contexts: Object.fromEntries(contexts) };
}

function checkedContext(value: unknown): KedgeContext {
  if (!isRecord(value) || typeof value["address"] !== "string") throw new TypeError("a context needs an address");
  const { address, caPem, token } = value;
  return {
    address,
    ...(typeof caPem === "string" ? { caPem } : {}),
    ...(typeof token === "string" ? { token } : {}),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
