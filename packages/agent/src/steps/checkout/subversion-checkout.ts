import { execFile } from "node:child_process";
import { StepFailure } from "../step-failure.ts";
import type { Credential } from "./credential.ts";

/** A revision to put into a folder. */
export interface SubversionCheckout {
  readonly directory: string;
  /** http, https, svn, svn+ssh or file URL of a folder in the repository. */
  readonly url: string;
  /** Number, "r" and a number, "HEAD", or empty for that. */
  readonly revision: string;
  readonly credential: Credential;
  /** Empty folder for svn's settings. */
  readonly home: string;
  readonly signal: AbortSignal;
  /** Receives what svn has to say. */
  readonly onOutput: (text: string) => void;
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const SCHEMES = ["http:", "https:", "svn:", "svn+ssh:", "file:"];

/**
 * Checks out a folder of a Subversion repository. Externals are left out: they would be read from wherever they say.
 *
 * @returns the revision that is checked out.
 * @throws StepFailure INVALID for a hostile URL or revision, or a credential that Subversion has no use for; INFRASTRUCTURE
 *   when there is no svn on the node or the repository cannot be reached.
 */
export async function subversionCheckout(options: SubversionCheckout): Promise<string> {
  assertUrl(options.url);
  const revision = parseRevision(options.revision);
  // The last "@" is the one that counts: one that is part of the path is left alone.
  await svn(options, [
    "checkout",
    "--quiet",
    "--ignore-externals",
    "-r",
    revision,
    "--",
    `${options.url}@${revision}`,
    ".",
  ]);
  return (await svn(options, ["info", "--show-item", "revision", "--", "."])).trim();
}

function parseRevision(text: string): string {
  const revision = text === "" ? "HEAD" : text.replace(/^r(?=\d)/, "");
  if (revision === "HEAD" || /^\d{1,15}$/.test(revision)) return revision;
  throw new StepFailure(
    "INVALID",
    `checkout.ref: ${JSON.stringify(text.slice(0, 80))} is no revision; give a number or HEAD`,
  );
}

function assertUrl(url: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  const parsed = /[\u0000-\u001f\u007f]/.test(url) || !URL.canParse(url) ? undefined : new URL(url);
  // "-oProxyCommand=" as a host: CVE-2017-9800.
  const hostile = parsed === undefined || /^-|^%2d/i.test(parsed.hostname) || /^-|^%2d/i.test(parsed.username);
  if (!hostile && SCHEMES.includes(parsed.protocol) && parsed.password === "") return;
  const shown = JSON.stringify(url.replace(/\/\/[^/@]*@/, "//…@").slice(0, 200));
  throw new StepFailure(
    "INVALID",
    `checkout.subversion: ${shown} must be an http, https, svn, svn+ssh or file URL without a password`,
  );
}

/** The password goes to the program's input: arguments are seen by every user of the machine. */
function access({ credential, url }: SubversionCheckout): { args: string[]; input: string } {
  switch (credential.kind) {
    case "none":
      return { args: [], input: "" };
    case "password":
      if (url.startsWith("svn+ssh:"))
        throw new StepFailure("INVALID", "checkout.credential: svn+ssh takes a private key");
      return { args: ["--username", credential.user, "--password-from-stdin"], input: credential.password };
    case "ssh-key":
      if (!url.startsWith("svn+ssh:")) throw new StepFailure("INVALID", "checkout.credential: give user:password");
      return { args: [], input: "" };
    default:
      return credential satisfies never;
  }
}

function svn(options: SubversionCheckout, args: readonly string[]): Promise<string> {
  const { directory, home, signal, onOutput } = options;
  const given = access(options);
  const [command = "", ...rest] = args;
  const safe = ["--non-interactive", "--no-auth-cache", "--config-dir", home, ...given.args];
  return new Promise((resolve, reject) => {
    const child = execFile(
      "svn",
      [command, ...safe, ...rest],
      { cwd: directory, env: svnEnvironment(options), signal, maxBuffer: MAX_OUTPUT_BYTES, encoding: "utf8" },
      (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(failure(error, stderr, signal))),
    );
    child.stderr?.on("data", (text: string) => onOutput(text));
    // A program that ends before it reads its input is told of by its exit code.
    child.stdin?.on("error", () => {});
    child.stdin?.end(given.input);
  });
}

function svnEnvironment({ home, credential }: SubversionCheckout): NodeJS.ProcessEnv {
  const { PATH, SSH_AUTH_SOCK } = process.env;
  const key = credential.kind === "ssh-key" ? ` -oIdentitiesOnly=yes -oIdentityAgent=none -i "${credential.file}"` : "";
  return {
    PATH: PATH ?? "/usr/bin:/bin",
    HOME: home,
    LC_ALL: "C.UTF-8",
    SVN_SSH: `ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new${key}`,
    ...(SSH_AUTH_SOCK === undefined ? {} : { SSH_AUTH_SOCK }),
  };
}

function failure(error: Error, stderr: string, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if ("code" in error && error.code === "ENOENT") {
    return new StepFailure("INFRASTRUCTURE", "checkout.subversion: this node has no svn; install it there", {
      cause: error,
    });
  }
  const line = stderr.split("\n").find((each) => /^svn: E\d+/.test(each));
  // The error's own message repeats the arguments.
  const words = line ?? `svn ended with ${"code" in error ? String(error.code) : "an error"}`;
  return new StepFailure("INFRASTRUCTURE", words.slice(0, 500), { cause: error });
}
