import { type Bus, deleteChunk, getChunk, hexOf, listChunks, readTree, type StoredChunk } from "@kedge/bus";
import { isKedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import type { Stores } from "../stores.ts";
import type { ChunkHolds } from "./chunk-holds.ts";

/** What the collector works with. */
export interface ChunkCollectorOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly holds: ChunkHolds;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Chunks younger than this are left alone; default 1 h. */
  readonly graceMs?: number;
}

/** What a collection came to. */
export interface Collected {
  readonly kept: number;
  readonly deleted: number;
  readonly bytes: number;
}

const GRACE_MS = 3_600_000;
const BATCH = 256;
/** Digits of a digest that are remembered: two that agree in them keep each other alive, which harms nobody. */
const REMEMBERED_DIGITS = 32;

/**
 * Deletes the chunks that no model version, artifact or cache refers to: marks, then sweeps. Killed at any point it has
 * deleted only what nobody refers to, and the next one does the rest. For the leader alone: see ChunkHolds.
 */
export class ChunkCollector {
  readonly #options: ChunkCollectorOptions;

  constructor(options: ChunkCollectorOptions) {
    this.#options = options;
  }

  /** Collects once. One at a time. @throws KedgeError BUS_UNAVAILABLE, and the signal's reason. */
  async collect(signal: AbortSignal): Promise<Collected> {
    const { holds, logger } = this.#options;
    const collection = holds.beginCollection();
    try {
      const used = await this.#mark(signal);
      const collected = await this.#sweep(used, signal);
      if (collected.deleted > 0) logger.info({ ...collected }, "chunks that nothing refers to were deleted");
      return collected;
    } finally {
      collection.end();
    }
  }

  async #mark(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { stores } = this.#options;
    const used = new Set<string>();
    const mark = (sha256: string) => used.add(remembered(sha256));
    for (const [, { value }] of stores.modelVersions.entries()) {
      mark(value.digest);
      for (const { chunks } of value.manifest?.files ?? []) for (const chunk of chunks) mark(chunk);
    }
    const trees = [
      ...[...stores.artifacts.entries()].map(([, { value }]) => value.artifact?.digest ?? ""),
      ...[...stores.caches.entries()].map(([, { value }]) => value.digest),
    ];
    for (const digest of new Set(trees)) {
      signal.throwIfAborted();
      await this.#markTree(digest, mark);
    }
    return used;
  }

  async #markTree(digest: string, mark: (sha256: string) => void): Promise<void> {
    const { bus, logger } = this.#options;
    mark(digest);
    try {
      const { root, entries } = await readTree(digest, (sha256) => getChunk(bus, sha256));
      for (const part of root.parts) mark(hexOf(part));
      for (const { chunks } of entries) for (const chunk of chunks) mark(hexOf(chunk));
    } catch (error) {
      // What cannot be read now must not lose its chunks for that; what is broken has nothing to lose.
      if (!isKedgeError(error) || error.retryable) throw error;
      logger.warn({ err: error, digest }, "a stored tree is unreadable");
    }
  }

  async #sweep(used: ReadonlySet<string>, signal: AbortSignal): Promise<Collected> {
    const { bus, clock, graceMs = GRACE_MS } = this.#options;
    const before = clock.now() - graceMs;
    const total = { kept: 0, deleted: 0, bytes: 0 };
    let batch: StoredChunk[] = [];
    for await (const chunk of listChunks(bus, signal)) {
      if (used.has(remembered(chunk.sha256)) || chunk.storedAtMs > before) total.kept += 1;
      else batch.push(chunk);
      if (batch.length < BATCH) continue;
      await this.#delete(batch, total);
      batch = [];
    }
    signal.throwIfAborted();
    await this.#delete(batch, total);
    return total;
  }

  async #delete(batch: readonly StoredChunk[], total: { kept: number; deleted: number; bytes: number }): Promise<void> {
    const { holds, bus } = this.#options;
    const deleted = await holds.delete(batch, async (chunk) => {
      await deleteChunk(bus, chunk);
      total.bytes += chunk.bytes;
    });
    total.deleted += deleted;
    total.kept += batch.length - deleted;
  }
}

function remembered(sha256: string): string {
  return sha256.slice(0, REMEMBERED_DIGITS);
}
