import type { Artifact, CacheEntry } from "@kedge/proto";
import type { PackedTree } from "./packed-tree.ts";

/** Names a cache to restore. */
export interface WantedCache {
  readonly key: string;
  /** Prefixes tried in this order when nothing has the key: the newest that fits. */
  readonly restoreKeys: readonly string[];
  readonly paths: readonly string[];
}

/** What became of a tree that was stored. */
export interface Stored<T> {
  readonly value: T;
  /** Bytes that were not there before. */
  readonly newBytes: bigint;
}

/** Where one task's files come from and go to. Everything may be done again: what is there already is not sent. */
export interface FileStore {
  /** A chunk by its SHA-256 in hex, checked. */
  readChunk(sha256: string): Promise<Uint8Array>;
  putArtifact(name: string, tree: PackedTree, signal: AbortSignal): Promise<Stored<Artifact>>;
  /** Undefined: there is none. */
  findCache(wanted: WantedCache, signal: AbortSignal): Promise<CacheEntry | undefined>;
  /** The first to store a key wins. */
  putCache(
    cache: Pick<WantedCache, "key" | "paths">,
    tree: PackedTree,
    signal: AbortSignal,
  ): Promise<Stored<CacheEntry>>;
}
