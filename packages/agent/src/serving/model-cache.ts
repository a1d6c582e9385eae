import { createHash } from "node:crypto";
import { link, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KedgeError } from "@kedge/domain";
import { secureBytes } from "@kedge/kernel";
import type { FileEntry, ModelManifest } from "@kedge/proto";
import { assertManifest } from "./manifest-rules.ts";

/** What a ModelCache works with. */
export interface ModelCacheOptions {
  /** The cache's own folder. */
  readonly dir: string;
  /** Bytes of one stored chunk. Their digest is checked here again. */
  readonly getChunk: (sha256: string) => Promise<Uint8Array>;
  /** Opens a signed manifest; throws when the controller did not sign it. */
  readonly openManifest: (bytes: Uint8Array) => ModelManifest;
}

const PARALLEL_CHUNKS = 8;

/**
 * Models on this node's disk. `blobs/<sha256>` holds files by content, `models/<digest>` a model's tree of hard links
 * to them, so versions share what they have in common and only files that are missing are fetched. A tree appears by
 * rename, when all of it is there and checked.
 */
export class ModelCache {
  readonly #options: ModelCacheOptions;
  readonly #fetching = new Map<string, Promise<string>>();

  constructor(options: ModelCacheOptions) {
    this.#options = options;
  }

  /**
   * The folder of a model version, fetched first if it is not there. Concurrent calls share one fetch, which an abort
   * does not end: the next caller finds what it brought.
   *
   * @param digest SHA-256 of the manifest document.
   * @throws KedgeError DIGEST_MISMATCH, SIGNATURE_INVALID, INVALID_MODEL, or what getChunk throws.
   */
  async ensure(digest: string, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new KedgeError("INVALID_MODEL", "manifest digest is not a SHA-256");
    const target = this.#tree(digest);
    if (await exists(target)) return target;
    const fetching = this.#fetching.get(digest) ?? this.#fetch(digest).finally(() => this.#fetching.delete(digest));
    this.#fetching.set(digest, fetching);
    const folder = await fetching;
    signal.throwIfAborted();
    return folder;
  }

  /** Digests of the models that are complete. */
  async list(): Promise<string[]> {
    const names = await readdir(join(this.#options.dir, "models")).catch(() => []); // Nothing cached yet.
    return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).sort();
  }

  /** Removes all models but these, and the files no other model uses. Not to be called during a fetch. */
  async prune(keep: ReadonlySet<string>): Promise<void> {
    if (this.#fetching.size > 0) return;
    for (const digest of await this.list()) {
      if (!keep.has(digest)) await rm(this.#tree(digest), { recursive: true, force: true });
    }
    const blobs = join(this.#options.dir, "blobs");
    for (const name of await readdir(blobs).catch(() => [])) {
      const path = join(blobs, name);
      if ((await stat(path)).nlink === 1) await rm(path, { force: true });
    }
  }

  async #fetch(digest: string): Promise<string> {
    const { dir, openManifest } = this.#options;
    const manifest = openManifest(await this.#chunk(digest));
    assertManifest(manifest);
    const staging = join(dir, "staging", Buffer.from(secureBytes(8)).toString("hex"));
    await Promise.all(["blobs", "models"].map((name) => mkdir(join(dir, name), { recursive: true, mode: 0o700 })));
    await mkdir(staging, { recursive: true, mode: 0o700 });
    try {
      for (const file of manifest.files) await this.#place(file, staging);
      await rename(staging, this.#tree(digest)).catch(async (error: unknown) => {
        if (!(await exists(this.#tree(digest)))) throw error;
      });
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
    return this.#tree(digest);
  }

  async #place(file: FileEntry, staging: string): Promise<void> {
    const blob = join(this.#options.dir, "blobs", file.sha256);
    if (!(await exists(blob))) await this.#download(file, blob);
    const path = join(staging, ...file.path.split("/"));
    await mkdir(dirname(path), { recursive: true });
    await link(blob, path);
  }

  async #download(file: FileEntry, blob: string): Promise<void> {
    const temporary = `${blob}.${Buffer.from(secureBytes(8)).toString("hex")}`;
    try {
      await this.#writeChunks(file, temporary);
      await rename(temporary, blob);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #writeChunks(file: FileEntry, path: string): Promise<void> {
    await using handle = await open(path, "wx", 0o400);
    const hash = createHash("sha256");
    let size = 0;
    for await (const bytes of this.#chunksInOrder(file.chunks)) {
      size += bytes.length;
      if (BigInt(size) > file.size) break;
      hash.update(bytes);
      await handle.writeFile(bytes);
    }
    if (BigInt(size) !== file.size || hash.digest("hex") !== file.sha256) {
      throw new KedgeError("DIGEST_MISMATCH", `file ${file.path} is not what its manifest says`);
    }
    await handle.sync();
  }

  /** Chunks in order, with a few of the next ones under way. */
  async *#chunksInOrder(digests: readonly string[]): AsyncIterable<Uint8Array> {
    const ahead: Promise<Uint8Array>[] = [];
    for (let next = 0; next < digests.length || ahead.length > 0; ) {
      while (ahead.length < PARALLEL_CHUNKS && next < digests.length) {
        const chunk = this.#chunk(digests[next++] ?? "");
        chunk.catch(() => {}); // Reported when its turn comes.
        ahead.push(chunk);
      }
      const first = await ahead.shift();
      if (first !== undefined) yield first;
    }
  }

  async #chunk(sha256: string): Promise<Uint8Array> {
    const bytes = await this.#options.getChunk(sha256);
    if (createHash("sha256").update(bytes).digest("hex") === sha256) return bytes;
    throw new KedgeError("DIGEST_MISMATCH", `chunk ${sha256} has other content`);
  }

  #tree(digest: string): string {
    return join(this.#options.dir, "models", digest);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
