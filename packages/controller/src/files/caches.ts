import { createHash } from "node:crypto";
import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type CacheEntry, CacheEntrySchema, type GetCacheRequest, type PutCacheHeader } from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { cacheAccess } from "./cache-access.ts";
import type { TaskJob } from "./task-job.ts";
import type { UploadedTree } from "./tree-upload.ts";

/** Bounds of caches: of one scope together, of a key, and of the time that one is kept unused. */
export const CACHE_LIMITS = { scopeBytes: 10 * 1024 ** 3, keyLength: 512, unusedMs: 30 * 24 * 3_600_000 } as const;

const TOUCH_MS = 3_600_000;
const MAX_PATHS = 100;

/** What caches are kept with. */
export interface CachesOptions {
  readonly stores: Stores;
  readonly clock: Clock;
  /** Default: `CACHE_LIMITS.scopeBytes`. */
  readonly scopeBytes?: number;
}

/** Caches as documents; their content is in the chunk store. An entry is never changed but for when it was used last. */
export class Caches {
  readonly #stores: Stores;
  readonly #clock: Clock;
  readonly #scopeBytes: bigint;

  constructor({ stores, clock, scopeBytes = CACHE_LIMITS.scopeBytes }: CachesOptions) {
    this.#stores = stores;
    this.#clock = clock;
    this.#scopeBytes = BigInt(scopeBytes);
  }

  /** What a task's job begins with: the entry of its key, or the newest that fits the first prefix that any fits. */
  async find({ run }: TaskJob, wanted: GetCacheRequest): Promise<CacheEntry | undefined> {
    const { scope } = cacheAccess(run);
    const exact = this.#stores.caches.get(keyOf({ scope, ...wanted }));
    const found = exact?.value ?? this.#byPrefix(scope, wanted);
    if (found !== undefined) await this.#touch(found);
    return found;
  }

  /**
   * Whether a task may put a cache, and nobody has yet: asked before anything is sent.
   *
   * @throws KedgeError PERMISSION_DENIED for a run that only reads, INVALID_FIELD for what the job does not declare.
   */
  assertMayPut({ run, spec }: TaskJob, { key, paths }: PutCacheHeader): void {
    if (cacheAccess(run).readOnly)
      throw new KedgeError("PERMISSION_DENIED", "the run comes from a fork: it only reads caches");
    const declared = spec.caches.some((cache) => !cache.readOnly && samePaths(cache.paths, paths));
    if (!declared)
      throw new KedgeError("INVALID_FIELD", `job ${spec.name} caches no such paths`, { field: "header.paths" });
    if (key !== "" && key.length <= CACHE_LIMITS.keyLength && paths.length <= MAX_PATHS) return;
    throw new KedgeError("INVALID_FIELD", `a key has 1 to ${CACHE_LIMITS.keyLength} characters`, {
      field: "header.key",
    });
  }

  /** The first to put a key wins; what was used longest ago goes when the scope's room does not do. */
  async put(owner: TaskJob, { key, paths }: PutCacheHeader, tree: UploadedTree) {
    const { scope } = cacheAccess(owner.run);
    const at = timestampFromMs(this.#clock.now());
    if (tree.root.bytes > this.#scopeBytes) {
      throw new KedgeError("TOO_LARGE", `a cache of ${tree.root.bytes} bytes, ${this.#scopeBytes} are allowed`);
    }
    const entry = create(CacheEntrySchema, {
      ...{ scope, key, paths, digest: tree.digest, bytes: tree.root.bytes, files: tree.root.files },
      ...{ createdAt: at, lastUsedAt: at, runId: owner.run.id, job: owner.spec.name },
    });
    const existing = await this.#create(entry);
    if (existing !== undefined) return { entry: existing, existed: true };
    await this.#makeRoom(entry);
    return { entry, existed: false };
  }

  /** Entries of one scope, or of all, those used last first. */
  list(scope: string): CacheEntry[] {
    return this.#all()
      .filter((entry) => scope === "" || entry.scope === scope)
      .toSorted((a, b) => (cacheOrder(a) > cacheOrder(b) ? -1 : 1));
  }

  /** @throws KedgeError CACHE_NOT_FOUND when nothing is deleted. */
  async delete(scope: string, key: string): Promise<number> {
    const doomed = this.#all().filter((entry) => entry.scope === scope && (key === "" || entry.key === key));
    if (doomed.length === 0) {
      const what = key === "" ? "" : ` with the key ${JSON.stringify(key)}`;
      throw new KedgeError("CACHE_NOT_FOUND", `${JSON.stringify(scope)} has no cache${what}`, { field: "scope" });
    }
    for (const entry of doomed) await this.#stores.caches.delete(keyOf(entry));
    return doomed.length;
  }

  /** Forgets what nobody has used for long. */
  async collectUnused(): Promise<void> {
    const oldest = this.#clock.now() - CACHE_LIMITS.unusedMs;
    for (const entry of this.#all()) {
      if (usedMs(entry) < oldest) await this.#stores.caches.delete(keyOf(entry));
    }
  }

  #all(): CacheEntry[] {
    return [...this.#stores.caches.entries()].map(([, { value }]) => value);
  }

  #byPrefix(scope: string, { restoreKeys, paths }: GetCacheRequest): CacheEntry | undefined {
    const known = this.#all().filter((entry) => entry.scope === scope && samePaths(entry.paths, paths));
    for (const prefix of restoreKeys) {
      const fits = known.filter(({ key }) => key.startsWith(prefix));
      const [newest] = fits.toSorted((a, b) => createdMs(b) - createdMs(a));
      if (newest !== undefined) return newest;
    }
    return undefined;
  }

  /** @returns what was there before. */
  async #create(entry: CacheEntry): Promise<CacheEntry | undefined> {
    const key = keyOf(entry);
    const existing = this.#stores.caches.get(key)?.value;
    if (existing !== undefined) return existing;
    try {
      await this.#stores.caches.create(key, entry);
      return undefined;
    } catch (error) {
      const other = this.#stores.caches.get(key)?.value;
      if (isKedgeError(error, "CONFLICT") && other !== undefined) return other;
      throw error;
    }
  }

  async #makeRoom(added: CacheEntry): Promise<void> {
    const others = this.list(added.scope).filter((entry) => keyOf(entry) !== keyOf(added));
    let bytes = added.bytes;
    for (const entry of others) {
      bytes += entry.bytes;
      if (bytes > this.#scopeBytes) await this.#stores.caches.delete(keyOf(entry));
    }
  }

  /** To the hour: a write for every use would cost more than it tells. */
  async #touch(entry: CacheEntry): Promise<void> {
    const nowMs = this.#clock.now();
    const stored = this.#stores.caches.get(keyOf(entry));
    if (stored === undefined || nowMs - usedMs(entry) < TOUCH_MS) return;
    const next = clone(CacheEntrySchema, stored.value);
    next.lastUsedAt = timestampFromMs(nowMs);
    await this.#stores.caches.update(keyOf(entry), next, stored.revision).catch((error: unknown) => {
      // Somebody else has just used or deleted it.
      if (!isKedgeError(error, "CONFLICT")) throw error;
    });
  }
}

/** Sorts entries by when they were used last; unique. */
export function cacheOrder(entry: CacheEntry): string {
  return `${String(usedMs(entry)).padStart(16, "0")}.${keyOf(entry)}`;
}

function keyOf({ scope, key, paths }: Pick<CacheEntry, "scope" | "key" | "paths">): string {
  return `${token(scope)}.${token(JSON.stringify([key, paths]))}`;
}

function token(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

function samePaths(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((path, i) => path === b[i]);
}

function usedMs({ lastUsedAt }: CacheEntry): number {
  return lastUsedAt === undefined ? 0 : timestampMs(lastUsedAt);
}

function createdMs({ createdAt }: CacheEntry): number {
  return createdAt === undefined ? 0 : timestampMs(createdAt);
}
