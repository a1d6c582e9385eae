import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import { comparePaths, isInnerLink, isTreePath, TREE_LIMITS } from "@kedge/domain";
import { TreeEntryKind } from "@kedge/proto";
import { MASKS_FILE } from "../logs/log-masks.ts";
import { StepFailure } from "../steps/step-failure.ts";
import { pathGlobs } from "./path-globs.ts";

/** Something in a folder that can be part of a tree. */
export interface FoundFile {
  /** Relative to the folder, '/'-separated. */
  readonly path: string;
  readonly kind: TreeEntryKind;
  readonly sizeBytes: number;
  readonly isExecutable: boolean;
  /** Of links: where it leads. */
  readonly target: string;
}

/** What globs came to. */
export interface FoundFiles {
  /** Sorted by path. */
  readonly files: readonly FoundFile[];
  /** What was passed over, and why; at most 20. */
  readonly skipped: readonly string[];
}

const MAX_SKIPPED = 20;
const MAX_DEPTH = 64;

/**
 * Finds what fits the globs below a folder. Links are never followed; those that lead out, devices, sockets and pipes
 * are passed over.
 *
 * @throws StepFailure INVALID for more than what an artifact may hold.
 */
export async function findFiles(folder: string, globs: readonly string[], signal: AbortSignal): Promise<FoundFiles> {
  const { fits, roots } = pathGlobs(globs);
  const walk = new Walk(await realpath(folder), fits, signal);
  for (const root of roots) await walk.visit(root, root.split("/").length);
  return { files: walk.files.toSorted((a, b) => comparePaths(a.path, b.path)), skipped: walk.skipped };
}

class Walk {
  readonly files: FoundFile[] = [];
  readonly skipped: string[] = [];
  readonly #folder: string;
  readonly #fits: (path: string) => boolean;
  readonly #signal: AbortSignal;
  #bytes = 0;

  constructor(folder: string, fits: (path: string) => boolean, signal: AbortSignal) {
    this.#folder = folder;
    this.#fits = fits;
    this.#signal = signal;
  }

  async visit(path: string, depth: number): Promise<void> {
    this.#signal.throwIfAborted();
    if (depth > MAX_DEPTH) return this.#skip(path, `is more than ${MAX_DEPTH} folders deep`);
    if (await this.#isBehindLink(path)) return;
    const stats = await lstat(join(this.#folder, path)).catch(() => undefined); // It went, or is not ours to see.
    if (stats?.isDirectory()) return this.#enter(path, depth);
    if (stats === undefined || path === MASKS_FILE || !this.#fits(path)) return;
    if (!isTreePath(path)) return this.#skip(path, "has a name that cannot be kept");
    if (stats.isSymbolicLink()) return this.#link(path);
    if (!stats.isFile()) return this.#skip(path, "is neither a file, a folder nor a link");
    const isExecutable = (stats.mode & 0o111) !== 0;
    this.#add({ path, kind: TreeEntryKind.FILE, sizeBytes: stats.size, isExecutable, target: "" });
  }

  async #enter(path: string, depth: number): Promise<void> {
    const names = await readdir(join(this.#folder, path)).catch(() => undefined);
    if (names === undefined) return this.#skip(path, "cannot be read");
    for (const name of names) await this.visit(path === "" ? name : `${path}/${name}`, depth + 1);
    if (names.length > 0 || path === "" || !this.#fits(path) || !isTreePath(path)) return;
    this.#add({ path, kind: TreeEntryKind.FOLDER, sizeBytes: 0, isExecutable: false, target: "" });
  }

  async #link(path: string): Promise<void> {
    const target = await readlink(join(this.#folder, path));
    if (!isInnerLink(path, target))
      return this.#skip(path, "is a link that leads out, or by a way that cannot be checked");
    this.#add({ path, kind: TreeEntryKind.LINK, sizeBytes: 0, isExecutable: false, target });
  }

  /** Only the walk's own steps are known to be real folders; where it begins is the job's word. */
  async #isBehindLink(path: string): Promise<boolean> {
    const parts = path.split("/");
    if (parts.length < 2) return false;
    const parent = join(this.#folder, ...parts.slice(0, -1));
    return (await realpath(parent).catch(() => parent)) !== parent;
  }

  #add(file: FoundFile): void {
    this.files.push(file);
    this.#bytes += file.sizeBytes;
    if (this.files.length > TREE_LIMITS.entries) {
      throw new StepFailure("INVALID", `more than ${TREE_LIMITS.entries} files fit`);
    }
    if (this.#bytes > TREE_LIMITS.bytes) throw new StepFailure("INVALID", `more than ${TREE_LIMITS.bytes} bytes fit`);
  }

  #skip(path: string, why: string): void {
    if (this.skipped.length < MAX_SKIPPED) this.skipped.push(`${JSON.stringify(path.slice(0, 200))} ${why}`);
  }
}

/**
 * Opens a plain file of a folder to read it, and makes sure that it is in there although something may still run that
 * changes the folder.
 *
 * @throws StepFailure INVALID when it is not what it was found to be.
 */
export async function openInside(folder: string, path: string): Promise<FileHandle> {
  const root = await realpath(folder);
  const full = join(root, path);
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(full, flags).catch((cause: unknown) => {
    throw new StepFailure("INVALID", `${path} cannot be read`, { cause });
  });
  const isSame = (await readlink(`/proc/self/fd/${handle.fd}`)) === full;
  if (isSame && (await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new StepFailure("INVALID", `${path} is no longer the file that was found`);
}
