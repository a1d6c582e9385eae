import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { checkTree, isFile, KedgeError, TREE_LIMITS } from "@kedge/domain";
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
    return client.artifacts.getArtifact({ runId, job, name, skipChunks: download.chunks }, callOptions(options));
  };
  try {
    if (!download.isComplete) {
      for await (const { part } of resumed(open, { clock: systemClock, signal: options.signal })) {
        if (part.case === "artifact" && part.value.digest !== artifact.digest) throw replaced(target);
        if (part.case === "chunk") await download.write(part.value);
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
  chunks: number;
}

/** The files of a tree, written one after the other; whole chunks of what an earlier download wrote count. */
class Download {
  readonly #files: readonly TreeEntry[];
  readonly #folder: string;
  readonly #options: TransferOptions;
  readonly #totalBytes: number;
  #next = 0;
  #chunks = 0;
  #doneBytes = 0;
  #file: OpenFile | undefined;

  constructor(files: readonly TreeEntry[], folder: string, options: TransferOptions) {
    this.#files = files;
    this.#folder = folder;
    this.#options = options;
    this.#totalBytes = files.reduce((sum, { size }) => sum + Number(size), 0);
  }

  /** Chunks that are written, over all files. */
  get chunks(): bigint {
    return BigInt(this.#chunks);
  }

  get isComplete(): boolean {
    return this.#next >= this.#files.length && this.#file === undefined;
  }

  /** Finds out what is there of an earlier download. */
  async resume(): Promise<void> {
    await this.#advance();
  }

  async write(data: Uint8Array): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new KedgeError("DIGEST_MISMATCH", "the controller sent more than the tree lists");
    file.hash.update(data);
    await file.handle.writeFile(data);
    this.#count(file, data.length);
    if (file.chunks < file.entry.chunks.length) return;
    await this.#finish(file);
    await this.#advance();
  }

  async close(): Promise<void> {
    await this.#file?.handle.close();
    this.#file = undefined;
  }

  /** Goes on to the next file that needs chunks. */
  async #advance(): Promise<void> {
    while (this.#file === undefined && this.#next < this.#files.length) {
      const entry = this.#files[this.#next];
      if (entry === undefined) return;
      const file = await this.#open(entry);
      this.#next += 1;
      if (file.chunks < entry.chunks.length) this.#file = file;
      else await this.#finish(file);
    }
  }

  async #open(entry: TreeEntry): Promise<OpenFile> {
    const path = join(this.#folder, entry.path);
    await mkdir(dirname(path), { recursive: true });
    const present = (await stat(path).catch(() => undefined))?.size ?? 0; // Not there: it begins at its start.
    const isWhole = present === Number(entry.size);
    const chunks = isWhole
      ? entry.chunks.length
      : Math.floor(Math.min(present, Number(entry.size)) / TREE_LIMITS.chunkBytes);
    const keptBytes = isWhole ? present : chunks * TREE_LIMITS.chunkBytes;
    const handle = await open(path, "a", entry.executable ? 0o755 : 0o644);
    await handle.truncate(keptBytes);
    const file = { entry, handle, hash: createHash("sha256"), chunks: 0 };
    if (keptBytes > 0) for await (const block of createReadStream(path)) file.hash.update(block);
    file.chunks = chunks;
    this.#chunks += chunks;
    this.#doneBytes += keptBytes;
    return file;
  }

  #count(file: OpenFile, bytes: number): void {
    file.chunks += 1;
    this.#chunks += 1;
    this.#doneBytes += bytes;
    const { path } = file.entry;
    this.#options.onProgress?.({ path, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes });
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
