import { createHash } from "node:crypto";
import { statfsSync } from "node:fs";
import { chmod, lstat, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { readFileIfPresent } from "../state/atomic-file.ts";
import { StepFailure } from "../steps/step-failure.ts";

/** Where a container finds its secrets. */
export const CONTAINER_SECRETS = "/run/kedge/secrets";

const MEMORY = "/dev/shm";
const TMPFS_MAGIC = 0x01021994;
/** Nobody gets past the root; what is below may be read by any user of a container that it is mounted in. */
const ROOT_MODE = 0o700;
const OTHERS = 0o077;
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o444;

/** Where a task's secrets are, if it has any: in memory where there is such a file system, else beside the task's folder. */
export function secretsFolder(taskDirectory: string): string {
  return join(secretsRoot(dirname(taskDirectory)), basename(taskDirectory));
}

/**
 * Writes a task's secrets, by path below its folder. May be repeated while the task runs: the folder stays the same one, which
 * containers have mounted, and no file is ever seen in part.
 *
 * @throws StepFailure INFRASTRUCTURE when the folder is somebody else's, INVALID for a path that leads out of it.
 */
export async function writeSecretFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await ensureOwn(dirname(folder));
  for (const [path, value] of files) {
    const target = join(folder, path);
    if (!target.startsWith(folder + sep)) throw new StepFailure("INVALID", `secrets: ${path} leads out of the folder`);
    if ((await readFileIfPresent(target))?.equals(value) !== true) await writeWhole(target, value);
  }
  await openFolders(folder);
}

/** Removes what is left of a task's secrets. May be repeated. */
export async function removeSecretFiles(taskDirectory: string): Promise<void> {
  await rm(secretsFolder(taskDirectory), { recursive: true, force: true });
}

/** Removes the secrets of all tasks but these, which an agent that was killed could not. */
export async function sweepSecretFiles(tasksDir: string, live: ReadonlySet<string>): Promise<void> {
  const root = secretsRoot(tasksDir);
  const names = await readdir(root).catch(() => []); // No folder, or not ours: nothing of ours.
  for (const name of names) {
    if (!live.has(name)) await rm(join(root, name), { recursive: true, force: true });
  }
}

/** The folder that the secrets of all tasks of an agent are in. */
export function secretsRoot(tasksDir: string): string {
  if (!isInMemory()) return join(dirname(tasksDir), "secrets");
  const name = createHash("sha256").update(tasksDir).digest("hex").slice(0, 16);
  return join(MEMORY, `kedge-${process.getuid?.() ?? 0}-${name}`);
}

function isInMemory(): boolean {
  try {
    return statfsSync(MEMORY).type === TMPFS_MAGIC;
  } catch {
    // Not on this machine.
    return false;
  }
}

/** Everybody may make folders in memory: one that is there already must be our own, and no link. */
async function ensureOwn(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: ROOT_MODE });
  const found = await lstat(root);
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & OTHERS) === 0) return;
  throw new StepFailure(
    "INFRASTRUCTURE",
    `${root} is not this agent's: it must be a folder of its user with mode 0700`,
  );
}

/** Whatever it makes is closed to others, also the root, should somebody have removed that just now. */
async function writeWhole(target: string, value: Uint8Array): Promise<void> {
  const temporary = `${target}.tmp`;
  await mkdir(dirname(target), { recursive: true, mode: ROOT_MODE });
  await rm(temporary, { force: true });
  await writeFile(temporary, value, { flag: "wx", mode: FILE_MODE });
  // Whatever the agent's umask has taken away.
  await chmod(temporary, FILE_MODE);
  await rename(temporary, target);
}

async function openFolders(folder: string): Promise<void> {
  await chmod(folder, FOLDER_MODE);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await openFolders(join(folder, entry.name));
  }
}
