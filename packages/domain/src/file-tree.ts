import { type TreeEntry, TreeEntryKind } from "@kedge/proto";
import { KedgeError } from "./error.ts";

/** What one artifact or cache may hold, and the size of its chunks. */
export const TREE_LIMITS = {
  entries: 100_000,
  bytes: 100 * 1024 ** 3,
  pathLength: 1_024,
  segmentLength: 255,
  chunkBytes: 256 * 1024,
  /** Of the encoded tree. */
  treeBytes: 256 * 1024 ** 2,
} as const;

const DIGEST_BYTES = 32;

/** Tells whether a path stays inside the folder that it is unpacked into, whatever reads it. */
export function isTreePath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here.
  if (path.length > TREE_LIMITS.pathLength || /[\\\u0000-\u001f\u007f]/.test(path)) return false;
  return path.split("/").every(isSegment);
}

function isSegment(part: string): boolean {
  return part !== "" && part !== "." && part !== ".." && part.length <= TREE_LIMITS.segmentLength;
}

/**
 * Tells whether a link of a tree leads to somewhere inside it. `..` is allowed in front only: behind a name it could be
 * the `..` of what another link leads to.
 */
export function isInnerLink(path: string, target: string): boolean {
  const parts = target.split("/");
  const up = parts.findIndex((part) => part !== "..");
  const climbs = up < 0 ? parts.length : up;
  if (target === "" || climbs > path.split("/").length - 1) return false;
  const names = parts.slice(climbs);
  return names.length === 0 || (isTreePath(names.join("/")) && target.length <= TREE_LIMITS.pathLength);
}

/** What the files of a tree come to. */
export interface TreeSize {
  readonly bytes: bigint;
  readonly files: number;
}

/**
 * Adds up the files of a tree, and refuses one that is not what an honest sender makes: paths and links stay inside,
 * each path is there once and in order, nothing is below a file or link, and sizes and chunks fit together.
 *
 * @throws KedgeError INVALID_TREE, which names the entry; TOO_LARGE.
 */
export function checkTree(entries: readonly TreeEntry[]): TreeSize {
  if (entries.length > TREE_LIMITS.entries) {
    throw new KedgeError("TOO_LARGE", `${entries.length} files, ${TREE_LIMITS.entries} are allowed`);
  }
  const leaves = new Set<string>();
  let last = "";
  let bytes = 0n;
  let files = 0;
  for (const entry of entries) {
    const problem = entryProblem(entry, last, leaves);
    if (problem !== undefined) throw invalid(entry, problem);
    leaves.add(entry.path);
    last = entry.path;
    bytes += entry.size;
    if (isFile(entry)) files += 1;
  }
  if (bytes > TREE_LIMITS.bytes) {
    throw new KedgeError("TOO_LARGE", `${bytes} bytes of files, ${TREE_LIMITS.bytes} are allowed`);
  }
  return { bytes, files };
}

/** Tells whether an entry is a plain file. */
export function isFile({ kind }: TreeEntry): boolean {
  return kind === TreeEntryKind.UNSPECIFIED || kind === TreeEntryKind.FILE;
}

/** Which paths differ in case or Unicode form only from one before them: on some disks they are the same file. */
export function lookAlikes(entries: readonly TreeEntry[]): ReadonlyMap<string, string> {
  const first = new Map<string, string>();
  const alike = new Map<string, string>();
  for (const { path } of entries) {
    const folded = path.normalize("NFC").toLowerCase();
    const other = first.get(folded);
    if (other === undefined) first.set(folded, path);
    else alike.set(path, other);
  }
  return alike;
}

/** The chunks of all files in order, equal ones that follow each other once: what has to be read to unpack a tree. */
export interface ChunkSequence {
  readonly chunks: readonly Uint8Array[];
  /** By entry: where in `chunks` the first of its own is. */
  readonly starts: readonly number[];
}

/** What has to be read, and in which order, to unpack a tree. */
export function chunkSequence(entries: readonly TreeEntry[]): ChunkSequence {
  const sequence: Uint8Array[] = [];
  const starts: number[] = [];
  for (const { chunks } of entries) {
    for (const [i, chunk] of chunks.entries()) {
      if (!isSameDigest(sequence.at(-1), chunk)) sequence.push(chunk);
      if (i === 0) starts.push(sequence.length - 1);
    }
    if (chunks.length === 0) starts.push(sequence.length);
  }
  return { chunks: sequence, starts };
}

/** Tells whether two digests are the same. */
export function isSameDigest(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function entryProblem(entry: TreeEntry, last: string, leaves: ReadonlySet<string>): string | undefined {
  if (!isTreePath(entry.path)) return "is not a relative path inside the tree";
  if (!(comparePaths(last, entry.path) < 0)) return "is there twice, or not in order";
  const parent = parentsOf(entry.path).find((path) => leaves.has(path));
  if (parent !== undefined) return `is below ${JSON.stringify(parent)}, which is no folder`;
  if (isFile(entry)) return fileProblem(entry);
  if (entry.size !== 0n || entry.chunks.length > 0) return "is no file and has content";
  if (entry.kind === TreeEntryKind.FOLDER) return undefined;
  if (entry.kind !== TreeEntryKind.LINK) return "is of a kind that is not known here";
  return isInnerLink(entry.path, entry.target) ? undefined : "is a link that leads out of the tree";
}

function fileProblem({ size, chunks, sha256, offset }: TreeEntry): string | undefined {
  if (offset > 0 && BigInt(offset) + size > TREE_LIMITS.chunkBytes) return "does not fit into the chunk that it shares";
  const expected = (size + BigInt(TREE_LIMITS.chunkBytes) - 1n) / BigInt(TREE_LIMITS.chunkBytes);
  if (BigInt(chunks.length) !== expected) return `has ${chunks.length} chunks, ${expected} were expected`;
  const isDigest = (digest: Uint8Array): boolean => digest.length === DIGEST_BYTES;
  return isDigest(sha256) && chunks.every(isDigest) ? undefined : "has a digest that is none";
}

/** Order of the entries of a tree: by UTF-16 units, with "/" before all else, so that a folder's entries are together. */
export function comparePaths(a: string, b: string): number {
  const left = a.replaceAll("/", "\u0001");
  const right = b.replaceAll("/", "\u0001");
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function parentsOf(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("/"));
}

function invalid({ path }: TreeEntry, problem: string): KedgeError {
  return new KedgeError("INVALID_TREE", `${JSON.stringify(path.slice(0, 200))} ${problem}`, { field: "path" });
}
