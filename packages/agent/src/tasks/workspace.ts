import { mkdirSync } from "node:fs";
import { chmod, readdir, realpath, rm } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { StepFailure } from "../steps/step-failure.ts";

/**
 * The real path of something in a workspace. Symlinks are followed, and what they lead to must be inside too.
 *
 * @param field name of the step's field, for the message.
 * @throws StepFailure INVALID when it does not exist or leads outside.
 */
export async function resolveInside(workspace: string, path: string, field: string): Promise<string> {
  if (isAbsolute(path) || path.includes("\0")) throw outside(path, field);
  const root = await realpath(workspace);
  const joined = join(root, path);
  if (joined !== root && !joined.startsWith(root + sep)) throw outside(path, field);
  const real = await realpath(joined).catch((cause: unknown) => {
    throw new StepFailure("INVALID", `${field}: ${path} does not exist in the workspace`, { cause });
  });
  if (real !== root && !real.startsWith(root + sep)) throw outside(path, field);
  return real;
}

/** Makes an empty workspace; what an earlier attempt left there is removed. */
export function makeWorkspace(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o755 });
}

/**
 * Removes a folder and all in it, also where a job took away its owner's own rights.
 *
 * @returns false when files of another user are in the way; they need a container run as root to go.
 */
export async function removeWorkspace(path: string): Promise<boolean> {
  if (await tryRemove(path)) return true;
  await openUp(path);
  return tryRemove(path);
}

async function tryRemove(path: string): Promise<boolean> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EACCES" || code === "EPERM") return false;
    throw error;
  }
}

/** Gives the owner all rights on the folders below; those of others stay closed. Links are not followed. */
async function openUp(path: string): Promise<void> {
  const open = [path];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    const entries = await chmod(folder, 0o700)
      .then(() => readdir(folder ?? path, { withFileTypes: true }))
      .catch(() => []); // Another user's, or gone.
    for (const entry of entries) if (entry.isDirectory()) open.push(join(folder, entry.name));
  }
}

function outside(path: string, field: string): StepFailure {
  return new StepFailure("INVALID", `${field}: ${JSON.stringify(path.slice(0, 200))} is outside the workspace`);
}
