import { errorMessage, isKedgeError } from "@kedge/domain";
import { assertFetchable, type GitOptions, isCommitId, isRefName, runGit } from "@kedge/runtime/git";
import { StepFailure } from "../step-failure.ts";
import type { Credential } from "./credential.ts";

/** A commit to put into a folder. */
export interface Checkout {
  /** Folder that becomes the work tree; without a repository of its own yet. */
  readonly directory: string;
  /** URL or absolute path. */
  readonly repository: string;
  /** Commit id, branch, tag or full ref. */
  readonly ref: string;
  /** Commits of history. */
  readonly depth: number;
  /** Leave out what is not needed, and get it when it is: "blob:none", "blob:limit=<n>", "tree:<n>"; empty: get all. */
  readonly filter: string;
  readonly credential: Credential;
  /** Stands for the user's home. */
  readonly home: string;
  /** Whether the repository may lie on this machine's disk. */
  readonly localRepositories: boolean;
  readonly signal: AbortSignal;
  /** Receives what git has to say. */
  readonly onOutput: (text: string) => void;
}

const FILTER = /^(?:blob:none|blob:limit=\d{1,15}[kmg]?|tree:\d{1,4})$/;

/**
 * Fetches one commit into a folder, with `depth` commits of history where the server can; else with all of it. The
 * repository is the remote "origin" afterwards. Neither large files nor submodules are touched.
 *
 * @returns the id of the commit that is checked out.
 * @throws StepFailure INVALID for a hostile or unknown ref; KedgeError INVALID_FIELD for a hostile address, GIT_FAILED when
 *   the repository cannot be reached.
 */
export async function gitCheckout(options: Checkout): Promise<string> {
  const { repository, ref, filter } = options;
  assertFetchable(repository, "checkout.repository");
  if (!isRefName(ref)) throw new StepFailure("INVALID", `checkout: ${JSON.stringify(ref.slice(0, 200))} is not a ref`);
  if (filter !== "" && !FILTER.test(filter)) {
    throw new StepFailure("INVALID", `checkout.filter: ${JSON.stringify(filter.slice(0, 80))} is no filter`);
  }
  await git(options, ["init", "--quiet", "."]);
  await git(options, ["config", "remote.origin.url", repository]);
  const target = await fetchTarget(options);
  await git(options, ["checkout", "--quiet", "--force", "--detach", target, "--"]);
  return (await git(options, ["rev-parse", "HEAD"])).trim();
}

/** Runs git in a checkout, with its credential and nothing of the machine's user. */
export function git(options: Checkout, args: readonly string[], more: Partial<GitOptions> = {}): Promise<string> {
  const { directory, repository, credential, home, localRepositories, signal, onOutput } = options;
  const access =
    credential.kind === "password"
      ? { remote: repository, credential: { user: credential.user, password: credential.password } }
      : credential.kind === "ssh-key"
        ? { sshKey: credential.file }
        : {};
  return runGit(args, { directory, home, localRepositories, signal, onMessage: onOutput, ...access, ...more });
}

async function fetchTarget(options: Checkout): Promise<string> {
  const filter = options.filter === "" ? [] : [`--filter=${options.filter}`];
  const shallow = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", `--depth=${options.depth}`, ...filter];
  try {
    await git(options, [...shallow, "--", "origin", options.ref]);
    return "FETCH_HEAD";
  } catch (error) {
    options.signal.throwIfAborted();
    options.onOutput(`shallow fetch failed, fetching all history: ${errorMessage(error)}\n`);
  }
  const branches = "+refs/heads/*:refs/remotes/origin/*";
  const all = ["fetch", "--quiet", "--update-shallow", "--no-recurse-submodules", ...filter];
  await git(options, [...all, "--", "origin", branches, "+refs/tags/*:refs/tags/*"]);
  return resolveFetched(options);
}

async function resolveFetched(options: Checkout): Promise<string> {
  const { ref, repository } = options;
  const names = isCommitId(ref) ? [ref] : [`refs/remotes/origin/${ref}`, `refs/tags/${ref}`];
  for (const name of names) {
    const asked = ["rev-parse", "--verify", "--quiet", `${name}^{commit}`];
    const found = await git(options, asked).catch((error: unknown) => {
      if (isKedgeError(error, "GIT_FAILED")) return undefined;
      throw error;
    });
    if (found !== undefined) return found.trim();
  }
  throw new StepFailure("INVALID", `${repository} has no commit, branch or tag ${ref}`);
}
