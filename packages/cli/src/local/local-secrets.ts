import { readFile } from "node:fs/promises";
import { KedgeError } from "@kedge/domain";

/** Where a local run has values of secrets from. */
export interface SecretSources {
  /** Lines NAME=VALUE; empty ones and those that begin with # are passed over. */
  readonly file: string | undefined;
  /** `KEDGE_SECRET_<NAME>`, dashes as underscores. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Values of secret parameters. */
  readonly parameters: Readonly<Record<string, string>>;
}

const PARAMETER = "parameters.";

/**
 * Values for the secrets that are asked for.
 *
 * @throws KedgeError INVALID_OPTION naming all that nothing gives, or the line of the file that is none.
 */
export async function findSecrets(names: readonly string[], sources: SecretSources): Promise<Map<string, Uint8Array>> {
  const listed = sources.file === undefined ? new Map<string, string>() : await readSecretFile(sources.file);
  const valueFor = (name: string): string | undefined => {
    if (name.startsWith(PARAMETER)) return sources.parameters[name.slice(PARAMETER.length)];
    return listed.get(name) ?? sources.env[variableOf(name)];
  };
  const found = names.map((name) => [name, valueFor(name)] as const);
  const missing = found.filter(([, value]) => value === undefined).map(([name]) => name);
  if (missing.length > 0) {
    const [first = ""] = missing;
    throw new KedgeError("INVALID_OPTION", `no value for ${missing.join(", ")}`, {
      field: "--secret-file",
      hint: first.startsWith(PARAMETER)
        ? `Give --param ${first.slice(PARAMETER.length)}=VALUE.`
        : `Write ${first}=VALUE into the file, or set ${variableOf(first)}.`,
    });
  }
  return new Map(found.map(([name, value = ""]) => [name, Buffer.from(value)]));
}

function variableOf(name: string): string {
  return `KEDGE_SECRET_${name.replaceAll("-", "_")}`;
}

async function readSecretFile(path: string): Promise<Map<string, string>> {
  const field = "--secret-file";
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new KedgeError("INVALID_OPTION", `cannot read ${path}`, { field, cause });
  });
  const values = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const at = line.indexOf("=");
    // The line itself is not shown: it may be a secret.
    if (at < 1) throw new KedgeError("INVALID_OPTION", `${path}:${index + 1}: expected NAME=VALUE`, { field });
    values.set(line.slice(0, at).trim(), line.slice(at + 1));
  }
  return values;
}
