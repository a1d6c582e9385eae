import { execFile } from "node:child_process";
import { cp } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const IDENTITY = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"];

/** Makes a repository of a folder's files, with one commit; the commit's id. */
export async function makeRepository(from: string, folder: string): Promise<string> {
  await cp(from, folder, { recursive: true });
  await git(folder, "init", "-q");
  return commitAll(folder, "Add the project");
}

/** Commits all that changed; the commit's id. */
export async function commitAll(folder: string, message: string): Promise<string> {
  await git(folder, "add", "-A");
  await git(folder, "commit", "-q", "-m", message);
  return (await git(folder, "rev-parse", "HEAD")).trim();
}

async function git(folder: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run("git", [...IDENTITY, ...args], { cwd: folder });
  return stdout;
}
