import { type Plain, textOf } from "../draft.ts";
import type { TranslatedAction } from "./actions.ts";

/** A login that was read, in the words of `registries` of a job, and how near it comes. */
export type TranslatedLogin = Pick<TranslatedAction, "fidelity" | "message"> & { readonly login?: Plain };

const SECRET = /^\s*\$\{\{\s*secrets\.([A-Za-z_]\w*)\s*\}\}\s*$/;
const ACTOR = /^\s*\$\{\{\s*github\.(?:actor|repository_owner|triggering_actor)\s*\}\}\s*$/;

/** Whether an action is the one that logs in to a registry. */
export function isLoginAction(uses: string): boolean {
  return /^docker\/login-action@/i.test(uses);
}

/**
 * Translates who logs in where.
 *
 * @param fields `username` and `password` as they are written, with `registry` if it is not Docker Hub.
 */
export function translateLogin(fields: Plain): TranslatedLogin {
  const host = textOf(fields["registry"] ?? "docker.io")
    .trim()
    .replace(/^https?:\/\//, "")
    .replace(/\/.*$/, "");
  const [user, password] = [textOf(fields["username"] ?? ""), textOf(fields["password"] ?? "")];
  const secret = SECRET.exec(password)?.[1];
  const username = usernameOf(user);
  if (secret === undefined || username === undefined || !/^[A-Za-z0-9.-]+(?::\d+)?$/.test(host)) {
    const message = "only a login with a plain name or a secret, and a secret for the password, can be kept";
    return { fidelity: "unsupported", message };
  }
  const login = { host, username, password: secret };
  const made = [secret, ...(typeof username === "string" ? [] : [username.secret])];
  if (secret !== "GITHUB_TOKEN" && !ACTOR.test(user)) {
    return { fidelity: "exact", message: `registries of the job, with secret ${made.join(", ")}`, login };
  }
  const message = `registries of the job; no forge gives its own token here: keep one as secret ${made.join(", ")}`;
  return { fidelity: "approximate", message, login };
}

function usernameOf(written: string): string | { readonly secret: string } | undefined {
  const secret = SECRET.exec(written)?.[1];
  if (secret !== undefined) return { secret };
  if (ACTOR.test(written)) return { secret: "GITHUB_ACTOR" };
  return /^[^\s:]{1,256}$/.test(written) && !written.includes("${{") ? written : undefined;
}

/** One login a registry: of several for the same the last one counts, as for those who log in one after another. */
export function lastLogins(logins: readonly Plain[]): Plain[] {
  return [...new Map(logins.map((login) => [textOf(login["host"]).toLowerCase(), login])).values()];
}
