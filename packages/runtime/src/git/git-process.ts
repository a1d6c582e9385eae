import { execFile } from "node:child_process";
import { errorMessage, KedgeError } from "@kedge/domain";
import { assertFetchable } from "./git-names.ts";

/** User and password for a repository. */
export interface GitCredential {
  readonly user: string;
  readonly password: string;
}

/** One run of git. */
export interface GitOptions {
  /** Folder it runs in. */
  readonly directory: string;
  readonly signal: AbortSignal;
  /** Folder that stands for the user's home. Default: that of the process, for its ssh keys. */
  readonly home?: string;
  /** http(s) address that the credential is for; it is sent to no other host, and never stands in the arguments. */
  readonly remote?: string;
  readonly credential?: GitCredential;
  /** File with the private key for ssh; no other is tried. */
  readonly sshKey?: string;
  /** Whether repositories on this machine's disk may be read, whatever names them. Default: yes. */
  readonly localRepositories?: boolean;
  /** Receives what git has to say, e.g. progress. */
  readonly onMessage?: (text: string) => void;
  /** Largest answer; default 1 MiB. */
  readonly maxBytes?: number;
}

const MAX_BYTES = 1024 * 1024;
const MAX_MESSAGE = 2_000;

/** Settings that keep anything in a repository or on the machine from running a program of its own. */
const SAFE_CONFIG: Readonly<Record<string, string>> = {
  "protocol.ext.allow": "never",
  "core.hooksPath": "/dev/null",
  "core.fsmonitor": "false",
  "core.askPass": "",
  "init.templateDir": "",
  "init.defaultBranch": "main",
  "gc.auto": "0",
  "maintenance.auto": "false",
  "advice.detachedHead": "false",
  "credential.helper": "",
  "submodule.recurse": "false",
  "http.followRedirects": "initial",
  "http.lowSpeedLimit": "1000",
  "http.lowSpeedTime": "30",
  "transfer.credentialsInUrl": "die",
  "uploadpack.packObjectsHook": "",
};

/**
 * Runs git and gives what it prints. No shell, no hooks, no settings of the machine or the user, no prompts, only the
 * protocols file, git, http(s) and ssh. Put `--` in front of whatever comes from elsewhere.
 *
 * @throws KedgeError GIT_FAILED with git's own words, TOO_LARGE; the signal's reason when it aborts.
 */
export async function runGit(args: readonly string[], options: GitOptions): Promise<string> {
  return (await runGitRaw(args, options)).toString("utf8");
}

/** The same for answers that may be no text. */
export function runGitRaw(args: readonly string[], options: GitOptions): Promise<Buffer> {
  const { directory, signal, maxBytes = MAX_BYTES } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let said = "";
    const child = execFile(
      "git",
      [...args],
      { cwd: directory, env: gitEnvironment(options), signal, maxBuffer: maxBytes, encoding: "buffer" },
      (error, stdout) => (error === null ? resolve(stdout) : reject(failure(error, said, options))),
    );
    child.stderr?.on("data", (data: Buffer) => {
      said = (said + data.toString("utf8")).slice(-MAX_MESSAGE);
      options.onMessage?.(data.toString("utf8"));
    });
  });
}

/** Only what git needs: no variable of the process's own surroundings can point it elsewhere. */
export function gitEnvironment(options: Omit<GitOptions, "directory" | "signal">) {
  const { home, remote, credential, sshKey, localRepositories = true } = options;
  const { PATH, HOME, SSH_AUTH_SOCK } = process.env;
  return {
    PATH: PATH ?? "/usr/bin:/bin",
    HOME: home ?? HOME ?? "/nonexistent",
    ...(SSH_AUTH_SOCK === undefined ? {} : { SSH_AUTH_SOCK }),
    LC_ALL: "C.UTF-8",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: `${localRepositories ? "file:" : ""}git:http:https:ssh`,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_LFS_SKIP_SMUDGE: "1",
    GIT_SSH_COMMAND: ["ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new", ...sshKeyOptions(sshKey)].join(" "),
    ...configVariables({ ...SAFE_CONFIG, "safe.directory": "*", ...credentialConfig(remote, credential) }),
  };
}

/** Git gives the command to a shell. */
function sshKeyOptions(sshKey: string | undefined): string[] {
  if (sshKey === undefined) return [];
  return ["-oIdentitiesOnly=yes", "-oIdentityAgent=none", "-i", `'${sshKey.replaceAll("'", "'\\''")}'`];
}

/** Settings in the environment: arguments are seen by every user of the machine, these are not. */
function configVariables(settings: Readonly<Record<string, string>>): Record<string, string> {
  const pairs = Object.entries(settings).flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${i}`, key],
    [`GIT_CONFIG_VALUE_${i}`, value],
  ]);
  return { GIT_CONFIG_COUNT: String(Object.keys(settings).length), ...Object.fromEntries(pairs) };
}

/** Git sends the header to addresses that begin with the origin, and follows no redirect to others while it has one. */
function credentialConfig(remote: string | undefined, credential: GitCredential | undefined): Record<string, string> {
  if (remote === undefined || credential === undefined || !/^https?:\/\//i.test(remote)) return {};
  assertFetchable(remote, "repository");
  const basic = Buffer.from(`${credential.user}:${credential.password}`).toString("base64");
  const { origin } = new URL(remote);
  return { [`http.${origin}/.extraHeader`]: `Authorization: Basic ${basic}`, "http.followRedirects": "false" };
}

function failure(error: Error, said: string, { signal }: GitOptions): unknown {
  if (signal.aborted) return signal.reason;
  if ("code" in error && error.code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") {
    return new KedgeError("TOO_LARGE", "git: the answer is too large", { cause: error });
  }
  const line = said
    .trim()
    .split("\n")
    .find((each) => each.startsWith("fatal:") || each.startsWith("error:"));
  // The error's own message repeats the arguments.
  const words = line ?? ("code" in error ? `git ended with ${String(error.code)}` : errorMessage(error));
  return new KedgeError("GIT_FAILED", `git: ${withoutControls(words)}`, { cause: error });
}

function withoutControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out.
  return text.replace(/[\u0000-\u001f\u007f]/g, " ").slice(0, 500);
}
