import { KedgeError } from "@kedge/domain";

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const SCP_LIKE = /^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:(?!\/\/)[^:]+$/;
const MAX_LENGTH = 2_000;

/** Tells whether text is the full id of a commit. */
export function isCommitId(text: string): boolean {
  return COMMIT.test(text) && !/^0+$/.test(text);
}

/**
 * Refuses what git would take for an option or a program: anything but a URL (http, https, ssh, git, file), `user@host:path`
 * or an absolute path. User and password may not stand in it.
 *
 * @throws KedgeError INVALID_FIELD, naming the field.
 */
export function assertFetchable(repository: string, field: string): void {
  const problem = fetchableProblem(repository);
  if (problem === undefined) return;
  const shown = JSON.stringify(repository.replace(/\/\/[^/@]*@/, "//…@").slice(0, 200));
  throw new KedgeError("INVALID_FIELD", `${field}: ${shown} ${problem}`, { field });
}

function fetchableProblem(repository: string): string | undefined {
  const expected = "must be an http, https, ssh, git or file URL, user@host:path, or an absolute path";
  if (hasControls(repository) || repository.length > MAX_LENGTH || repository.includes("::")) return expected;
  if (/^\/[^-]/.test(repository) || SCP_LIKE.test(repository)) return undefined;
  if (!/^(?:https?|ssh|git|file):\/\//.test(repository) || !URL.canParse(repository)) return expected;
  const { protocol, username, password, hostname } = new URL(repository);
  if (protocol === "file:") return hostname === "" ? undefined : expected;
  if (hostname === "" || hostname.startsWith("-") || username.startsWith("-")) return expected;
  if (password !== "" || (username !== "" && protocol.startsWith("http"))) {
    return "must not hold a password; give it as a secret";
  }
  return undefined;
}

/**
 * Refuses names that no branch or tag can have (git check-ref-format(1)), or that git would take for an option.
 *
 * @throws KedgeError INVALID_FIELD, naming the field.
 */
export function assertRefName(name: string, field: string): void {
  if (isRefName(name)) return;
  throw new KedgeError("INVALID_FIELD", `${field}: ${JSON.stringify(name.slice(0, 200))} is no branch or tag`, {
    field,
  });
}

/** Tells whether a branch or tag can have this name; slashes are fine, and so is a full name that begins with refs/. */
export function isRefName(name: string): boolean {
  if (name === "" || name.length > 250 || name === "@" || hasControls(name)) return false;
  if (/[ ~^:?*[\\]|\.\.|@\{|\/\/|\.$|^-|^\/|\/$/.test(name)) return false;
  return name.split("/").every((part) => !part.startsWith(".") && !part.endsWith(".lock"));
}

function hasControls(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  return /[\u0000-\u001f\u007f]/.test(text);
}
