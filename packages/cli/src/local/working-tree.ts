import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { isKedgeError, KedgeError } from "@kedge/domain";

const run = promisify(execFile);

/** A folder's files as a commit. */
export interface WorkingTree {
  /** Absolute path of the repository. */
  readonly repository: string;
  readonly commit: string;
  /** Branch that is checked out; empty: none. */
  readonly branch: string;
  /** It holds changes that are not committed. */
  readonly isDirty: boolean;
}

const AUTHOR = { GIT_AUTHOR_NAME: "kedge", GIT_AUTHOR_EMAIL: "kedge@localhost" };
const COMMITTER = { GIT_COMMITTER_NAME: "kedge", GIT_COMMITTER_EMAIL: "kedge@localhost" };

/**
 * The files of a repository as they are now, new ones included and ignored ones not, as a commit that no branch or tag leads
 * to. Branches, index and files stay as they are; git collects the commit some day.
 *
 * @returns undefined when the folder is in no repository, or that has no commit yet.
 * @throws KedgeError PROCESS_FAILED when git cannot read the files.
 */
export async function snapshotWorkingTree(folder: string): Promise<WorkingTree | undefined> {
  const git = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> => callGit(folder, args, env);
  const head = await git(["rev-parse", "--show-toplevel", "HEAD"]).catch((error: unknown) => {
    if (isKedgeError(error, "PROCESS_FAILED")) return undefined;
    throw error;
  });
  const [repository, commit] = head?.split("\n") ?? [];
  if (repository === undefined || commit === undefined) return undefined;
  const branch = await git(["symbolic-ref", "--quiet", "--short", "HEAD"]).catch(() => ""); // Detached: none.
  const isDirty = (await git(["status", "--porcelain"])) !== "";
  if (!isDirty) return { repository, commit, branch, isDirty };
  const temporary = await mkdtemp(join(tmpdir(), "kedge-index-"));
  try {
    const index = join(temporary, "index");
    // Begun with what git knows of the files already, it need not read them all.
    await copyFile(await git(["rev-parse", "--path-format=absolute", "--git-path", "index"]), index).catch(() => {});
    const env = { GIT_INDEX_FILE: index };
    await callGit(repository, ["add", "--all", "."], env);
    const tree = await git(["write-tree"], env);
    const made = await git(["commit-tree", tree, "-p", commit, "-m", "working tree"], { ...AUTHOR, ...COMMITTER });
    return { repository, commit: made, branch, isDirty };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function callGit(folder: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  try {
    const { stdout } = await run("git", ["-C", folder, ...args], { env: { ...process.env, ...env } });
    return stdout.trim();
  } catch (cause) {
    throw new KedgeError("PROCESS_FAILED", `git ${args[0]} failed in ${folder}`, { cause });
  }
}
