import { createHash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { checkTree, KedgeError, TREE_LIMITS, type TreeSize } from "@kedge/domain";
import { FileTreeSchema, type TreeEntry, type TreeRoot, TreeRootSchema } from "@kedge/proto";

/** A tree as it is stored: the chunks that describe it, those of the files not among them. */
export interface EncodedTree extends TreeSize {
  /** SHA-256 of the root, lower-case hex. */
  readonly digest: string;
  readonly parts: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** What a digest stands for. */
export interface StoredTree {
  readonly root: TreeRoot;
  /** Sorted by path. */
  readonly entries: readonly TreeEntry[];
}

/** Reads a chunk by its SHA-256 in hex; fails when it is not there or has other bytes. */
export type ReadChunk = (sha256: string) => Promise<Uint8Array>;

/** SHA-256 of some bytes. */
export function sha256Of(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** Lower-case hex of a digest. */
export function hexOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("hex");
}

/**
 * Encodes a tree. The same entries have the same digest.
 *
 * @throws KedgeError INVALID_TREE, TOO_LARGE.
 */
export function encodeTree(entries: readonly TreeEntry[]): EncodedTree {
  const { bytes, files } = checkTree(entries);
  const encoded = toBinary(FileTreeSchema, create(FileTreeSchema, { entries: [...entries] }));
  if (encoded.length > TREE_LIMITS.treeBytes) throw tooLarge(encoded.length);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < encoded.length; at += TREE_LIMITS.chunkBytes) {
    parts.push(encoded.subarray(at, at + TREE_LIMITS.chunkBytes));
  }
  const root = toBinary(TreeRootSchema, create(TreeRootSchema, { parts: parts.map(sha256Of), bytes, files }));
  return { digest: sha256Of(root).toString("hex"), parts, root, bytes, files };
}

/**
 * Reads a tree by the digest of its root and checks all of it: what comes back can be unpacked.
 *
 * @throws KedgeError INVALID_TREE when it is no tree or does not add up, TOO_LARGE, and whatever `readChunk` throws.
 */
export async function readTree(digest: string, readChunk: ReadChunk): Promise<StoredTree> {
  const rootBytes = await readChunk(digest);
  const root = decoded(digest, () => fromBinary(TreeRootSchema, rootBytes));
  const encodedBytes = root.parts.length * TREE_LIMITS.chunkBytes;
  if (encodedBytes > TREE_LIMITS.treeBytes + TREE_LIMITS.chunkBytes) throw tooLarge(encodedBytes);
  const parts: Uint8Array[] = [];
  for (const part of root.parts) parts.push(await readChunk(hexOf(part)));
  const { entries } = decoded(digest, () => fromBinary(FileTreeSchema, Buffer.concat(parts)));
  const { bytes, files } = checkTree(entries);
  if (bytes !== root.bytes || files !== root.files)
    throw new KedgeError("INVALID_TREE", `tree ${digest} does not add up`);
  return { root, entries };
}

function decoded<T>(digest: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new KedgeError("INVALID_TREE", `${digest} is not the root of a tree`, { cause });
  }
}

function tooLarge(bytes: number): KedgeError {
  return new KedgeError("TOO_LARGE", `a list of files of ${bytes} bytes, ${TREE_LIMITS.treeBytes} are allowed`);
}
