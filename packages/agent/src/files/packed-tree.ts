import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { type EncodedTree, encodeTree, hexOf, sha256Of } from "@kedge/bus";
import { comparePaths, TREE_LIMITS } from "@kedge/domain";
import { type TreeEntry, TreeEntryKind, TreeEntrySchema } from "@kedge/proto";
import { StepFailure } from "../steps/step-failure.ts";
import { type FoundFile, openInside } from "./find-files.ts";

/** Files on the disk that become part of a tree. */
export interface TreeSource {
  /** Absolute. */
  readonly folder: string;
  readonly files: readonly FoundFile[];
  /** Path in the tree of a path in the folder; default: the same. */
  readonly rename?: (path: string) => string;
}

interface ChunkPlace {
  readonly folder: string;
  readonly path: string;
  readonly offset: number;
}

const { chunkBytes } = TREE_LIMITS;

/** Files on the disk, as a tree: what is in it is known, and each chunk can be read again to send it. */
export class PackedTree {
  readonly encoded: EncodedTree;
  readonly #places: ReadonlyMap<string, ChunkPlace>;

  private constructor(encoded: EncodedTree, places: ReadonlyMap<string, ChunkPlace>) {
    this.encoded = encoded;
    this.#places = places;
  }

  /**
   * Reads all files once, for their digests.
   *
   * @throws StepFailure INVALID when one changes meanwhile; KedgeError INVALID_TREE, TOO_LARGE.
   */
  static async pack(sources: readonly TreeSource[], signal: AbortSignal): Promise<PackedTree> {
    const places = new Map<string, ChunkPlace>();
    const entries: TreeEntry[] = [];
    for (const { folder, files, rename = (path: string) => path } of sources) {
      for (const file of files) {
        signal.throwIfAborted();
        const path = rename(file.path);
        const { kind, target, isExecutable: executable } = file;
        const content = kind === TreeEntryKind.FILE ? await contentOf(folder, file, places) : {};
        entries.push(create(TreeEntrySchema, { path, kind, target, executable, ...content }));
      }
    }
    return new PackedTree(encodeTree(entries.toSorted((a, b) => comparePaths(a.path, b.path))), places);
  }

  /** SHA-256 of every different chunk of the files, in hex. */
  get chunks(): readonly string[] {
    return [...this.#places.keys()];
  }

  /** The bytes of a chunk. @throws StepFailure INVALID when its file has changed since it was packed. */
  async read(sha256: string): Promise<Uint8Array> {
    const place = this.#places.get(sha256);
    if (place === undefined) throw new TypeError(`no file has the chunk ${sha256}`);
    await using handle = await openInside(place.folder, place.path);
    const bytes = await readChunk(handle, place.offset);
    if (hexOf(sha256Of(bytes)) === sha256) return bytes;
    throw changed(place.path);
  }
}

async function contentOf(folder: string, { path, sizeBytes }: FoundFile, places: Map<string, ChunkPlace>) {
  await using handle = await openInside(folder, path);
  const whole = createHash("sha256");
  const chunks: Uint8Array[] = [];
  for (let offset = 0; offset < sizeBytes; offset += chunkBytes) {
    const bytes = await readChunk(handle, offset);
    if (bytes.length !== Math.min(chunkBytes, sizeBytes - offset)) throw changed(path);
    whole.update(bytes);
    const digest = sha256Of(bytes);
    chunks.push(digest);
    const hex = hexOf(digest);
    if (!places.has(hex)) places.set(hex, { folder, path, offset });
  }
  return { size: BigInt(sizeBytes), chunks, sha256: whole.digest() };
}

/** A chunk's worth of bytes from a place on, or what is left. */
async function readChunk(handle: FileHandle, offset: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  let filled = 0;
  while (filled < chunkBytes) {
    const { bytesRead } = await handle.read(buffer, filled, chunkBytes - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

function changed(path: string): StepFailure {
  return new StepFailure("INVALID", `${path} changed while it was being stored: does something still write to it?`);
}
