import { readFile } from "node:fs/promises";
import { errorMessage, KedgeError, registryHost } from "@kedge/domain";
import { z } from "zod";
import type { RegistryLogin, RegistryLogins } from "./registry-logins.ts";

const configSchema = z.looseObject({
  auths: z.record(z.string(), z.looseObject({ auth: z.string().optional() })).optional(),
});

/**
 * The logins that `docker login` wrote into a file; none when there is no such file. Those that are kept by a helper
 * (`credsStore`) are not in it, and are left out.
 *
 * @throws KedgeError INVALID_OPTION for a file that cannot be read or is something else.
 */
export async function readDockerConfig(path: string): Promise<RegistryLogins> {
  try {
    const { auths = {} } = configSchema.parse(JSON.parse(await readFile(path, "utf8")));
    return new Map(Object.entries(auths).flatMap(([key, { auth = "" }]) => entryOf(key, auth)));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Map();
    // The file's own text is in the words of some errors.
    const problem =
      error instanceof Error && "code" in error ? errorMessage(error) : "it is not what docker login writes";
    throw new KedgeError("INVALID_OPTION", `the logins in ${path} cannot be read: ${problem}`, {
      field: "dockerConfig",
      hint: "log in again with docker login, as the user that the agent runs as",
    });
  }
}

function entryOf(key: string, auth: string): [string, RegistryLogin][] {
  const host = key.replace(/^https?:\/\//, "").split("/")[0] ?? "";
  const login = Buffer.from(auth, "base64").toString("utf8");
  const colon = login.indexOf(":");
  if (host === "" || colon < 1) return [];
  return [[registryHost(host), { username: login.slice(0, colon), password: login.slice(colon + 1) }]];
}
