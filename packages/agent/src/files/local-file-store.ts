import { mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { hexOf, sha256Of } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import { type Clock, newId } from "@kedge/kernel";
import { type Artifact, ArtifactSchema, type CacheEntry, CacheEntrySchema } from "@kedge/proto";
import type { FileStore, Stored, WantedCache } from "./file-store.ts";
import type { PackedTree } from "./packed-tree.ts";

/** Files of jobs in a folder, for machines without a controller. Several tasks may use one folder at once. */
export class LocalFileStore implements FileStore {
  readonly #dir: string;
  readonly #scope: string;
  readonly #clock: Clock;

  /** @param dir absolute; made when it is needed. `scope`: what its caches have in common, e.g. the pipeline. */
  constructor(dir: string, scope: string, clock: Clock) {
    this.#dir = dir;
    this.#scope = scope;
    this.#clock = clock;
  }

  async readChunk(sha256: string): Promise<Uint8Array> {
    const bytes = await readFile(this.#chunk(sha256)).catch((cause: unknown) => {
      throw new KedgeError("CHUNK_NOT_FOUND", `chunk ${sha256} is not stored`, { cause });
    });
    if (hexOf(sha256Of(bytes)) === sha256) return bytes;
    throw new KedgeError("DIGEST_MISMATCH", `chunk ${sha256} has other bytes than its digest says`);
  }

  async putArtifact(name: string, tree: PackedTree, signal: AbortSignal): Promise<Stored<Artifact>> {
    const newBytes = await this.#store(tree, signal);
    const { digest, bytes, files } = tree.encoded;
    const createdAt = timestampFromMs(this.#clock.now());
    return { value: create(ArtifactSchema, { name, digest, bytes, files, createdAt }), newBytes };
  }

  async findCache({ key, restoreKeys, paths }: WantedCache): Promise<CacheEntry | undefined> {
    const all = (await this.#caches()).filter((entry) => entry.paths.join("\n") === paths.join("\n"));
    const exact = all.find((entry) => entry.key === key);
    if (exact !== undefined) return exact;
    const newestFirst = all.toSorted((a, b) => createdMs(b) - createdMs(a));
    for (const prefix of restoreKeys) {
      const found = newestFirst.find((entry) => entry.key.startsWith(prefix));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async putCache(
    { key, paths }: Pick<WantedCache, "key" | "paths">,
    tree: PackedTree,
    signal: AbortSignal,
  ): Promise<Stored<CacheEntry>> {
    const newBytes = await this.#store(tree, signal);
    const { digest, bytes, files } = tree.encoded;
    const createdAt = timestampFromMs(this.#clock.now());
    const entry = create(CacheEntrySchema, {
      scope: this.#scope,
      key,
      paths: [...paths],
      digest,
      bytes,
      files,
      createdAt,
    });
    const name = hexOf(sha256Of(Buffer.from(JSON.stringify([this.#scope, key, paths]))));
    await this.#write(join(this.#dir, "caches"), name, toBinary(CacheEntrySchema, entry));
    return { value: entry, newBytes };
  }

  async #store(tree: PackedTree, signal: AbortSignal): Promise<bigint> {
    let newBytes = 0n;
    for (const sha256 of tree.chunks) {
      signal.throwIfAborted();
      if (await exists(this.#chunk(sha256))) continue;
      const bytes = await tree.read(sha256);
      await this.#write(join(this.#dir, "chunks"), sha256, bytes);
      newBytes += BigInt(bytes.length);
    }
    const { parts, root } = tree.encoded;
    for (const bytes of [...parts, root]) await this.#write(join(this.#dir, "chunks"), hexOf(sha256Of(bytes)), bytes);
    return newBytes;
  }

  async #caches(): Promise<CacheEntry[]> {
    const folder = join(this.#dir, "caches");
    const names = await readdir(folder).catch(() => []); // Nothing cached yet.
    const all = await Promise.all(
      names.filter((name) => !name.includes(".")).map((name) => readFile(join(folder, name))),
    );
    return all.map((bytes) => fromBinary(CacheEntrySchema, bytes)).filter(({ scope }) => scope === this.#scope);
  }

  async #write(folder: string, name: string, bytes: Uint8Array): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const temporary = join(folder, `${name}.${newId(this.#clock)}`);
    await writeFile(temporary, bytes, { mode: 0o600 });
    await rename(temporary, join(folder, name));
  }

  #chunk(sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new KedgeError("INVALID_FIELD", "a chunk's name is a SHA-256 in hex");
    return join(this.#dir, "chunks", sha256);
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function createdMs({ createdAt }: CacheEntry): number {
  return createdAt === undefined ? 0 : timestampMs(createdAt);
}
