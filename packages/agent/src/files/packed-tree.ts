import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { type EncodedTree, encodeTree, hexOf, sha256Of } from "@kedge/bus";
import { comparePaths, TREE_LIMITS } from "@kedge/domain";
import { readAhead } from "@kedge/kernel";
import { type TreeEntry, TreeEntryKind, TreeEntrySchema } from "@kedge/proto";
import { StepFailure } from "../steps/step-failure.ts";
import { type FoundFile, openInside } from "./find-files.ts";
import { isPackEnd, SMALL_FILE_BYTES } from "./small-files.ts";

/** Files on the disk that become part of a tree. */
export interface TreeSource {
  /** Absolute. */
  readonly folder: string;
  readonly files: readonly FoundFile[];
  /** Path in the tree of a path in the folder; default: the same. */
  readonly rename?: (path: string) => string;
}

/** A part of a file. */
interface Piece {
  readonly folder: string;
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

const { chunkBytes } = TREE_LIMITS;
const READ_AHEAD = 16;

/** Files on the disk, as a tree: what is in it is known, and each chunk can be read again to send it. */
export class PackedTree {
  readonly encoded: EncodedTree;
  readonly #pieces: ReadonlyMap<string, readonly Piece[]>;

  private constructor(encoded: EncodedTree, pieces: ReadonlyMap<string, readonly Piece[]>) {
    this.encoded = encoded;
    this.#pieces = pieces;
  }

  /**
   * Reads all files once, for their digests. Small ones share chunks with those beside them.
   *
   * @throws StepFailure INVALID when one changes meanwhile; KedgeError INVALID_TREE, TOO_LARGE.
   */
  static async pack(sources: readonly TreeSource[], signal: AbortSignal): Promise<PackedTree> {
    const all = sources.flatMap(({ folder, files, rename = (path: string) => path }) =>
      files.map((file) => ({ folder, file, path: rename(file.path) })),
    );
    const packing = new Packing();
    const sorted = all.toSorted((a, b) => comparePaths(a.path, b.path));
    for await (const { path, ...item } of readAhead(sorted, withBytes, READ_AHEAD)) {
      signal.throwIfAborted();
      const { kind, target, isExecutable: executable } = item.file;
      const entry = create(TreeEntrySchema, { path, kind, target, executable });
      if (kind === TreeEntryKind.FILE) await packing.add(entry, item);
      packing.entries.push(entry);
    }
    packing.flush();
    return new PackedTree(encodeTree(packing.entries), packing.pieces);
  }

  /** SHA-256 of every different chunk of the files, in hex. */
  get chunks(): readonly string[] {
    return [...this.#pieces.keys()];
  }

  /** The bytes of a chunk. @throws StepFailure INVALID when a file of it has changed since it was packed. */
  async read(sha256: string): Promise<Uint8Array> {
    const pieces = this.#pieces.get(sha256);
    if (pieces === undefined) throw new TypeError(`no file has the chunk ${sha256}`);
    const bytes = Buffer.concat(await Promise.all(pieces.map(readPiece)));
    if (hexOf(sha256Of(bytes)) === sha256) return bytes;
    throw changed(pieces.map(({ path }) => path).join(", "));
  }
}

/** A file that becomes part of a tree, with its content if it is small. */
interface LoadedFile {
  readonly folder: string;
  readonly file: FoundFile;
  readonly bytes: Uint8Array | undefined;
}

/** A tree that is being made, with the chunk that is being filled with small files. */
class Packing {
  readonly entries: TreeEntry[] = [];
  readonly pieces = new Map<string, readonly Piece[]>();
  #pack: { readonly entry: TreeEntry; readonly piece: Piece; readonly bytes: Uint8Array }[] = [];
  #packBytes = 0;

  async add(entry: TreeEntry, { folder, file, bytes }: LoadedFile): Promise<void> {
    entry.size = BigInt(file.sizeBytes);
    if (file.sizeBytes === 0) entry.sha256 = sha256Of(new Uint8Array());
    else if (bytes !== undefined) this.#addSmall(entry, { ...wholeOf(file), folder }, bytes);
    else await this.#addLarge(entry, folder, file);
  }

  /** Ends the chunk of small files. */
  flush(): void {
    const pack = this.#pack;
    this.#pack = [];
    this.#packBytes = 0;
    if (pack.length === 0) return;
    const digest = sha256Of(Buffer.concat(pack.map(({ bytes }) => bytes)));
    for (const { entry } of pack) entry.chunks = [digest];
    this.#note(
      digest,
      pack.map(({ piece }) => piece),
    );
  }

  #addSmall(entry: TreeEntry, piece: Piece, bytes: Uint8Array): void {
    if (this.#packBytes + bytes.length > chunkBytes) this.flush();
    entry.sha256 = sha256Of(bytes);
    entry.offset = this.#packBytes;
    this.#pack.push({ entry, piece, bytes });
    this.#packBytes += bytes.length;
    if (isPackEnd(entry.path)) this.flush();
  }

  async #addLarge(entry: TreeEntry, folder: string, { path, sizeBytes }: FoundFile): Promise<void> {
    this.flush();
    await using handle = await openInside(folder, path);
    const whole = createHash("sha256");
    for (let offset = 0; offset < sizeBytes; offset += chunkBytes) {
      const piece = { folder, path, offset, length: Math.min(chunkBytes, sizeBytes - offset) };
      const bytes = await readPart(handle, piece);
      whole.update(bytes);
      const digest = sha256Of(bytes);
      entry.chunks.push(digest);
      this.#note(digest, [piece]);
    }
    entry.sha256 = whole.digest();
  }

  #note(digest: Uint8Array, pieces: readonly Piece[]): void {
    const hex = hexOf(digest);
    if (!this.pieces.has(hex)) this.pieces.set(hex, pieces);
  }
}

/** Small files are read while those before them are still at hand: most of their time is spent on opening them. */
async function withBytes<T extends { readonly folder: string; readonly file: FoundFile }>(item: T) {
  const { folder, file } = item;
  const isSmall = file.kind === TreeEntryKind.FILE && file.sizeBytes > 0 && file.sizeBytes <= SMALL_FILE_BYTES;
  return { ...item, bytes: isSmall ? await readPiece({ ...wholeOf(file), folder }) : undefined };
}

function wholeOf({ path, sizeBytes }: FoundFile) {
  return { path, offset: 0, length: sizeBytes };
}

async function readPiece(piece: Piece): Promise<Uint8Array> {
  await using handle = await openInside(piece.folder, piece.path);
  return await readPart(handle, piece);
}

async function readPart(handle: FileHandle, { path, offset, length }: Piece): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw changed(path);
    filled += bytesRead;
  }
  return buffer;
}

function changed(path: string): StepFailure {
  return new StepFailure("INVALID", `${path} changed while it was being stored: does something still write to it?`);
}
