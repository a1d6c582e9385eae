import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { checkTree, chunkSequence, isFile, isSameDigest, KedgeError, TREE_LIMITS } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import { type Artifact, type GetArtifactResponse, type TreeEntry, TreeEntryKind } from "@kedge/proto";
import type { KedgeClient } from "./client.ts";
import type { TransferOptions } from "./push-model.ts";
import { putInPlace } from "./put-in-place.ts";
import { resumed } from "./resume.ts";

/** Which artifact, and where to. */
export interface PullArtifactTarget {
  readonly runId: string;
  readonly job: string;
  readonly name: string;
  /** Folder to make; it may exist when it is empty. */
  readonly folder: string;
}

/**
 * Downloads an artifact into a folder, which appears when all of it is there and checked. When the connection breaks it
 * goes on where it was; so does a later call after one that was cut short: what came is kept beside the folder until then.
 *
 * @throws KedgeError DIGEST_MISMATCH, INVALID_TREE, INVALID_OPTION when the folder is not empty, and whatever the server says.
 */
export async function pullArtifact(
  client: KedgeClient,
  target: PullArtifactTarget,
  options: TransferOptions = {},
): Promise<Artifact> {
  const folder = resolve(target.folder);
  await assertFree(folder);
  const { artifact, entries } = await fetchTree(client, target, options);
  checkTree(entries);
  const staging = join(dirname(folder), `.${basename(folder)}.${artifact.digest.slice(0, 16)}.part`);
  await mkdir(staging, { recursive: true });
  const files = entries.filter(isFile);
  const download = new Download(files, staging, options);
  await download.resume();
  const open = () => {
    const { runId, job, name } = target;
    return client.artifacts.getArtifact({ runId, job, name, skipChunks: download.begin() }, callOptions(options));
  };
  try {
    if (!download.isComplete) {
      for await (const { part } of resumed(open, { clock: systemClock, signal: options.signal })) {
        if (part.case === "artifact" && part.value.digest !== artifact.digest) throw replaced(target);
        if (part.case === "chunk") await download.write(part.value);
        // The rest is there of an earlier download.
        if (download.isComplete) break;
      }
    }
    if (!download.isComplete) throw new KedgeError("DIGEST_MISMATCH", "the controller did not send all files");
  } finally {
    await download.close();
  }
  await makeRest(entries, staging);
  await putInPlace(staging, folder);
  return artifact;
}

function callOptions({ signal }: TransferOptions) {
  return signal === undefined ? {} : { signal };
}

async function assertFree(folder: string): Promise<void> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    throw new KedgeError("INVALID_OPTION", `${folder} is no folder`, { cause, field: "folder" });
  });
  if (names.length > 0) throw new KedgeError("INVALID_OPTION", `${folder} is not an empty folder`, { field: "folder" });
}

async function fetchTree(
  client: KedgeClient,
  { runId, job, name }: PullArtifactTarget,
  options: TransferOptions,
): Promise<{ readonly artifact: Artifact; readonly entries: readonly TreeEntry[] }> {
  const parts: GetArtifactResponse["part"][] = [];
  const request = { runId, job, name, treeOnly: true };
  for await (const { part } of client.artifacts.getArtifact(request, callOptions(options))) parts.push(part);
  const artifact = parts.find((part) => part.case === "artifact")?.value;
  if (artifact === undefined) throw new KedgeError("INTERNAL", "the controller sent no artifact");
  return { artifact, entries: parts.flatMap((part) => (part.case === "tree" ? part.value.entries : [])) };
}

interface OpenFile {
  readonly entry: TreeEntry;
  readonly handle: FileHandle;
  readonly hash: Hash;
  /** Of its chunks. */
  done: number;
}

/** The files of a tree, written one after the other; whole chunks of what an earlier download wrote count. */
class Download {
  readonly #files: readonly TreeEntry[];
  readonly #starts: readonly number[];
  readonly #folder: string;
  readonly #options: TransferOptions;
  readonly #totalBytes: number;
  #next = 0;
  /** Chunks of the tree that are not needed any more, or were received: all before the one that comes next. */
  #position = 0;
  /** Number of the chunk that is sent next. */
  #incoming = 0;
  #doneBytes = 0;
  #file: OpenFile | undefined;

  constructor(files: readonly TreeEntry[], folder: string, options: TransferOptions) {
    this.#files = files;
    this.#starts = chunkSequence(files).starts;
    this.#folder = folder;
    this.#options = options;
    this.#totalBytes = files.reduce((sum, { size }) => sum + Number(size), 0);
  }

  /** How many chunks of the tree need not be sent; what is written next begins behind them. */
  begin(): bigint {
    this.#incoming = this.#position;
    return BigInt(this.#position);
  }

  get isComplete(): boolean {
    return this.#next >= this.#files.length && this.#file === undefined;
  }

  /** Finds out what is there of an earlier download. */
  async resume(): Promise<void> {
    await this.#advance(undefined);
  }

  /** Takes the chunk that was sent next: every file that begins, goes on or is whole in it gets its part. */
  async write(chunk: Uint8Array): Promise<void> {
    const index = this.#incoming++;
    // What an earlier download has is passed over.
    if (index < this.#position) return;
    const digest = this.#wanted();
    this.#position = index + 1;
    while (this.#file !== undefined && isSameDigest(this.#wanted(), digest))
      await this.#append(this.#file, chunk, digest);
  }

  async close(): Promise<void> {
    await this.#file?.handle.close();
    this.#file = undefined;
  }

  /** Digest of the chunk that the file at hand needs. */
  #wanted(): Uint8Array | undefined {
    return this.#file?.entry.chunks[this.#file.done];
  }

  async #append(file: OpenFile, chunk: Uint8Array, digest: Uint8Array | undefined): Promise<void> {
    const { path, offset, size, chunks } = file.entry;
    const left = Number(size) - file.done * TREE_LIMITS.chunkBytes;
    const bytes = chunk.subarray(offset, offset + left);
    file.hash.update(bytes);
    await file.handle.writeFile(bytes);
    file.done += 1;
    this.#doneBytes += bytes.length;
    this.#options.onProgress?.({ path, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes });
    if (file.done < chunks.length) return;
    await this.#finish(file);
    await this.#advance(digest);
  }

  /** Goes on to the next file that needs chunks. `received`: the chunk that has just come, which may hold it too. */
  async #advance(received: Uint8Array | undefined): Promise<void> {
    while (this.#file === undefined && this.#next < this.#files.length) {
      const at = this.#next;
      const entry = this.#files[at];
      if (entry === undefined) return;
      const file = await this.#open(entry);
      this.#next += 1;
      if (file.done >= entry.chunks.length) {
        await this.#finish(file);
        continue;
      }
      this.#file = file;
      if (!isSameDigest(received, entry.chunks[file.done])) this.#position = this.#positionOf(at, file.done);
    }
  }

  /** Where in the tree's chunks the one of this number of a file is. */
  #positionOf(file: number, done: number): number {
    const chunks = this.#files[file]?.chunks ?? [];
    const steps = chunks.slice(1, done + 1).filter((chunk, i) => !isSameDigest(chunk, chunks[i]));
    return (this.#starts[file] ?? 0) + steps.length;
  }

  async #open(entry: TreeEntry): Promise<OpenFile> {
    const path = join(this.#folder, entry.path);
    await mkdir(dirname(path), { recursive: true });
    const present = (await stat(path).catch(() => undefined))?.size ?? 0; // Not there: it begins at its start.
    const size = Number(entry.size);
    const done = present === size ? entry.chunks.length : Math.floor(Math.min(present, size) / TREE_LIMITS.chunkBytes);
    const keptBytes = present === size ? present : done * TREE_LIMITS.chunkBytes;
    const handle = await open(path, "a", entry.executable ? 0o755 : 0o644);
    await handle.truncate(keptBytes);
    const hash = createHash("sha256");
    if (keptBytes > 0) for await (const block of createReadStream(path)) hash.update(block);
    this.#doneBytes += keptBytes;
    return { entry, handle, hash, done };
  }

  async #finish({ entry, handle, hash }: OpenFile): Promise<void> {
    this.#file = undefined;
    const isRight = hash.digest("hex") === Buffer.from(entry.sha256).toString("hex");
    if (!isRight) await handle.truncate(0);
    await handle.close();
    if (!isRight) throw new KedgeError("DIGEST_MISMATCH", `${entry.path} does not have its digest; begin again`);
  }
}

/** Folders with nothing in them, and links: last, so that nothing is written through one. */
async function makeRest(entries: readonly TreeEntry[], folder: string): Promise<void> {
  for (const { path, kind, target } of entries) {
    const full = join(folder, path);
    if (kind === TreeEntryKind.FOLDER) await mkdir(full, { recursive: true });
    if (kind !== TreeEntryKind.LINK) continue;
    await mkdir(dirname(full), { recursive: true });
    await symlink(target, full).catch((error: NodeJS.ErrnoException) => {
      // An earlier download was cut short right here.
      if (error.code !== "EEXIST") throw error;
    });
  }
}

function replaced({ job, name }: PullArtifactTarget): KedgeError {
  const hint = "download it again";
  return new KedgeError("CONFLICT", `${job}/${name} was replaced by a later attempt meanwhile`, { hint });
}
