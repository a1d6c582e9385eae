import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { KedgeError } from "@kedge/domain";

/** A nats-server program. */
export interface NatsBinary {
  readonly path: string;
  /** E.g. "2.15.1". */
  readonly version: string;
}

const HINT =
  "Install nats-server 2.11.15 or newer (2.9 is the oldest that works), put it on PATH, or name it in KEDGE_NATS_SERVER.";

/**
 * Finds nats-server: `KEDGE_NATS_SERVER` (then nothing else is tried), `~/.cache/kedge/bin`, PATH.
 *
 * @throws KedgeError UNSUPPORTED_PLATFORM when none is found or it does not run.
 */
export async function findNatsServer({ env }: { readonly env: NodeJS.ProcessEnv }): Promise<NatsBinary> {
  const explicit = env["KEDGE_NATS_SERVER"];
  const candidates = explicit !== undefined && explicit !== "" ? [explicit] : searchPath(env);
  for (const path of candidates) {
    if (await isExecutable(path)) return { path, version: await versionOf(path) };
  }
  throw new KedgeError("UNSUPPORTED_PLATFORM", `nats-server not found (looked at ${candidates.join(", ")})`, {
    hint: HINT,
  });
}

function searchPath(env: NodeJS.ProcessEnv): string[] {
  const folders = [
    join(env["HOME"] ?? "/root", ".cache/kedge/bin"),
    ...(env["PATH"] ?? "").split(delimiter),
    "/usr/sbin",
  ];
  return folders.filter((folder) => folder !== "").map((folder) => join(folder, "nats-server"));
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function versionOf(path: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: 10_000 });
    const version = /v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
    if (version !== undefined) return version;
  } catch (cause) {
    throw new KedgeError("UNSUPPORTED_PLATFORM", `${path} does not run`, { cause, hint: HINT });
  }
  throw new KedgeError("UNSUPPORTED_PLATFORM", `${path} does not tell its version`, { hint: HINT });
}
