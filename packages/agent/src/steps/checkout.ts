import { execFile } from "node:child_process";
import { errorMessage } from "@kedge/domain";
import { StepFailure } from "./step-failure.ts";

/** A commit to put into a folder. */
export interface Checkout {
  /** Empty folder that becomes the work tree. */
  readonly directory: string;
  /** URL or absolute path. */
  readonly repository: string;
  /** Commit id, branch or tag. */
  readonly ref: string;
  /** Commits of history. */
  readonly depth: number;
  readonly signal: AbortSignal;
  /** Receives what git has to say. */
  readonly onOutput: (text: string) => void;
}

const COMMIT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
const MAX_OUTPUT_BYTES = 1024 * 1024;

/** Settings that keep anything in the repository or on the machine from running a program of its own. */
const SAFE_CONFIG = [
  ["protocol.ext.allow", "never"],
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["init.templateDir", ""],
  ["init.defaultBranch", "main"],
  ["gc.auto", "0"],
  ["advice.detachedHead", "false"],
  ["credential.helper", ""],
].flatMap(([key, value]) => ["-c", `${key}=${value}`]);

/**
 * Fetches one commit into a folder, with `depth` commits of history where the server can; else with all of it.
 * Safe to run again in the same folder.
 *
 * @returns the id of the commit that is checked out.
 * @throws StepFailure INVALID for a hostile or unknown ref, INFRASTRUCTURE when the repository cannot be reached.
 */
export async function checkout(options: Checkout): Promise<string> {
  assertPlain("repository", options.repository);
  assertPlain("ref", options.ref);
  if (options.repository.includes("::")) throw invalid("repository", options.repository);
  await git(options, ["init", "--quiet", "."]);
  const target = await fetchTarget(options);
  await git(options, ["checkout", "--quiet", "--force", "--detach", target, "--"]);
  return (await git(options, ["rev-parse", "HEAD"])).trim();
}

async function fetchTarget(options: Checkout): Promise<string> {
  const shallow = ["fetch", "--quiet", "--no-tags", `--depth=${options.depth}`];
  try {
    await git(options, [...shallow, "--", options.repository, options.ref]);
    return "FETCH_HEAD";
  } catch (error) {
    options.signal.throwIfAborted();
    options.onOutput(`shallow fetch failed, fetching all history: ${errorMessage(error)}\n`);
  }
  await git(options, [
    "fetch",
    "--quiet",
    "--update-shallow",
    "--",
    options.repository,
    "+refs/heads/*:refs/remotes/origin/*",
    "+refs/tags/*:refs/tags/*",
  ]);
  return resolveFetched(options);
}

async function resolveFetched(options: Checkout): Promise<string> {
  const names = COMMIT.test(options.ref)
    ? [options.ref]
    : [`refs/remotes/origin/${options.ref}`, `refs/tags/${options.ref}`];
  for (const name of names) {
    const found = await git(options, ["rev-parse", "--verify", "--quiet", `${name}^{commit}`]).catch(() => undefined);
    if (found !== undefined) return found.trim();
  }
  throw new StepFailure("INVALID", `${options.repository} has no commit, branch or tag ${options.ref}`);
}

function git(options: Checkout, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      "git",
      [...SAFE_CONFIG, ...args],
      {
        cwd: options.directory,
        env: gitEnvironment(),
        signal: options.signal,
        maxBuffer: MAX_OUTPUT_BYTES,
        encoding: "utf8",
      },
      (error, stdout) => (error === null ? resolve(stdout) : reject(gitFailure(error, stderr, options.signal))),
    );
    let stderr = "";
    child.stderr?.on("data", (data: string) => {
      stderr = (stderr + data).slice(-2000);
      options.onOutput(data);
    });
  });
}

/** Only what git needs: no variable of the agent's own surroundings can point it elsewhere. */
function gitEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, SSH_AUTH_SOCK, LANG } = process.env;
  return {
    PATH: PATH ?? "/usr/bin:/bin",
    ...(HOME === undefined ? {} : { HOME }),
    ...(SSH_AUTH_SOCK === undefined ? {} : { SSH_AUTH_SOCK }),
    ...(LANG === undefined ? {} : { LANG }),
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: "file:git:http:https:ssh",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "safe.directory",
    GIT_CONFIG_VALUE_0: "*",
    GIT_SSH_COMMAND: "ssh -oBatchMode=yes",
    GIT_LFS_SKIP_SMUDGE: "1",
  };
}

function gitFailure(error: Error, stderr: string, signal: AbortSignal): Error {
  if (signal.aborted) return signal.reason instanceof Error ? signal.reason : error;
  const line = stderr
    .trim()
    .split("\n")
    .findLast((each) => each.startsWith("fatal:") || each.startsWith("error:"));
  return new StepFailure("INFRASTRUCTURE", `git: ${line ?? error.message}`, { cause: error });
}

function assertPlain(field: string, value: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (value === "" || value.startsWith("-") || /[\u0000-\u001f\u007f]/.test(value)) throw invalid(field, value);
}

function invalid(field: string, value: string): StepFailure {
  return new StepFailure("INVALID", `checkout: ${JSON.stringify(value.slice(0, 200))} is not a ${field}`);
}
