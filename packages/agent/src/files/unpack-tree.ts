import { createHash } from "node:crypto";
import { lstat, mkdir, open, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { hexOf, type ReadChunk } from "@kedge/bus";
import { checkTree, chunkSequence, isFile, isSameDigest, lookAlikes } from "@kedge/domain";
import { readAhead } from "@kedge/kernel";
import { type TreeEntry, TreeEntryKind } from "@kedge/proto";
import { StepFailure } from "../steps/step-failure.ts";

/** A tree, and where it is to appear. */
export interface Unpacking {
  readonly entries: readonly TreeEntry[];
  readonly readChunk: ReadChunk;
  /** Absolute; it exists, and it and all above it are trusted. */
  readonly root: string;
  /** Below the root: what is there already is not trusted. Empty: the root. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

const READ_AHEAD = 8;

/**
 * Writes a tree below a folder. Files that are there are replaced, never written through; every folder on the way must
 * be one and no link. Each file's digest is checked.
 *
 * @throws StepFailure INVALID for what is in the way, KedgeError INVALID_TREE, DIGEST_MISMATCH as INFRASTRUCTURE, and what
 * `readChunk` throws.
 */
export async function unpackTree(unpacking: Unpacking): Promise<void> {
  const { entries, root, folder, signal } = unpacking;
  checkTree(entries);
  const folders = new SafeFolders(root);
  const alike = lookAlikes(entries);
  const base = folder === "" ? "" : `${folder}/`;
  await folders.ensure(folder);
  const chunks = new ChunkSource(unpacking);
  for (const entry of entries) {
    signal.throwIfAborted();
    const path = `${base}${entry.path}`;
    const other = alike.get(entry.path);
    await folders.ensure(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
    if (other !== undefined) await assertDifferent(join(root, path), join(root, `${base}${other}`));
    if (entry.kind === TreeEntryKind.FOLDER) await folders.ensure(path);
    else if (isFile(entry)) await writeFile(entry, chunks, await clear(join(root, path), path));
    else await symlink(entry.target, await clear(join(root, path), path));
  }
}

/** Makes folders one by one, so that none is made, or later written to, through a link. */
class SafeFolders {
  readonly #root: string;
  readonly #known = new Set([""]);

  constructor(root: string) {
    this.#root = root;
  }

  async ensure(path: string): Promise<void> {
    if (this.#known.has(path)) return;
    const at = path.lastIndexOf("/");
    await this.ensure(at < 0 ? "" : path.slice(0, at));
    const full = join(this.#root, path);
    await mkdir(full, { mode: 0o755 }).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
      if (!(await lstat(full)).isDirectory())
        throw new StepFailure("INVALID", `${path} is in the way: it is no folder`);
    });
    this.#known.add(path);
  }
}

async function clear(full: string, path: string): Promise<string> {
  const stats = await lstat(full).catch(() => undefined); // Nothing is there.
  if (stats?.isDirectory()) throw new StepFailure("INVALID", `${path} is in the way: it is a folder`);
  if (stats !== undefined) await rm(full, { force: true });
  return full;
}

async function assertDifferent(path: string, other: string): Promise<void> {
  const [a, b] = await Promise.all([path, other].map((it) => lstat(it).catch(() => undefined))); // Not there: no matter.
  if (a === undefined || b === undefined || a.ino !== b.ino) return;
  throw new StepFailure("INVALID", `${path} and ${other} are the same file on this disk`);
}

/** The chunks of a tree, one after the other; one that was asked for last may be asked for again. */
class ChunkSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #digest: Uint8Array | undefined;
  #bytes = new Uint8Array();

  constructor({ entries, readChunk }: Unpacking) {
    const { chunks } = chunkSequence(entries);
    this.#chunks = readAhead(chunks, (chunk) => readChunk(hexOf(chunk)), READ_AHEAD);
  }

  async take(digest: Uint8Array): Promise<Uint8Array> {
    if (isSameDigest(this.#digest, digest)) return this.#bytes;
    const { value } = await this.#chunks.next();
    this.#digest = digest;
    this.#bytes = value;
    return value;
  }
}

async function writeFile(entry: TreeEntry, chunks: ChunkSource, full: string): Promise<void> {
  await using handle = await open(full, "wx", entry.executable ? 0o755 : 0o644);
  const hash = createHash("sha256");
  let left = Number(entry.size);
  for (const chunk of entry.chunks) {
    const bytes = (await chunks.take(chunk)).subarray(entry.offset, entry.offset + left);
    left -= bytes.length;
    hash.update(bytes);
    await handle.writeFile(bytes);
  }
  if (left === 0 && hash.digest("hex") === hexOf(entry.sha256)) return;
  throw new StepFailure("INFRASTRUCTURE", `${entry.path} has other content than its digest says`);
}
