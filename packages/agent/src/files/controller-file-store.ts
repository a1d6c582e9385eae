import type { ReadChunk } from "@kedge/bus";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { type Clock, jitter, readAhead } from "@kedge/kernel";
import { type Artifact, ArtifactService, type CacheEntry, type TaskOffer } from "@kedge/proto";
import type { RpcClient } from "@kedge/rpc";
import type { FileStore, Stored, WantedCache } from "./file-store.ts";
import type { PackedTree } from "./packed-tree.ts";

/** How a task's files reach the controller. */
export interface ControllerFileStoreOptions {
  readonly offer: TaskOffer;
  readonly caPem: string;
  /** Chunks are read from the bus. */
  readonly readChunk: ReadChunk;
  readonly clock: Clock;
}

type Client = RpcClient<typeof ArtifactService>;
type ChunkPart = { readonly part: { readonly case: "chunk"; readonly value: Uint8Array } };

const ASKED_AT_ONCE = 4_096;
const READ_AHEAD = 4;
/** A controller that restarts, or hands the lease on, is back within less. */
const ATTEMPTS = 12;
const MAX_DELAY_MS = 10_000;

/** The controller's artifacts and caches, with the task's own token. */
export class ControllerFileStore implements FileStore {
  readonly #options: ControllerFileStoreOptions;

  constructor(options: ControllerFileStoreOptions) {
    this.#options = options;
  }

  readChunk(sha256: string): Promise<Uint8Array> {
    return this.#options.readChunk(sha256);
  }

  putArtifact(name: string, tree: PackedTree, signal: AbortSignal): Promise<Stored<Artifact>> {
    return this.#call(signal, async (client) => {
      const header = { part: { case: "header" as const, value: { name } } };
      const answer = await client.putArtifact(parts(header, tree, await missingOf(client, tree, signal)), { signal });
      return { value: present(answer.artifact), newBytes: answer.newBytes };
    });
  }

  findCache({ key, restoreKeys, paths }: WantedCache, signal: AbortSignal): Promise<CacheEntry | undefined> {
    const request = { key, restoreKeys: [...restoreKeys], paths: [...paths] };
    return this.#call(signal, async (client) => (await client.getCache(request, { signal })).entry);
  }

  putCache(
    { key, paths }: Pick<WantedCache, "key" | "paths">,
    tree: PackedTree,
    signal: AbortSignal,
  ): Promise<Stored<CacheEntry>> {
    return this.#call(signal, async (client) => {
      const header = { part: { case: "header" as const, value: { key, paths: [...paths] } } };
      const answer = await client.putCache(parts(header, tree, await missingOf(client, tree, signal)), { signal });
      return { value: present(answer.entry), newBytes: answer.newBytes };
    });
  }

  async #call<T>(signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    const { offer, caPem, clock } = this.#options;
    // Loaded on demand: grpc-js is the largest thing an agent at rest does not need.
    const { createRpcClient } = await import("@kedge/rpc");
    const client = createRpcClient(ArtifactService, { address: offer.controllerAddress, caPem, token: offer.runToken });
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await work(client);
        } catch (error) {
          signal.throwIfAborted();
          if (!isKedgeError(error) || !error.retryable || attempt >= ATTEMPTS) throw error;
          await clock.sleep(Math.min(MAX_DELAY_MS, 100 * 2 ** attempt) * (0.5 + jitter() / 2), signal);
        }
      }
    } finally {
      client.close();
    }
  }
}

async function missingOf(client: Client, tree: PackedTree, signal: AbortSignal): Promise<Set<string>> {
  const missing = new Set<string>();
  const all = tree.chunks;
  for (let at = 0; at < all.length; at += ASKED_AT_ONCE) {
    const chunks = all.slice(at, at + ASKED_AT_ONCE).map((sha256) => Buffer.from(sha256, "hex"));
    const answer = await client.findMissingChunks({ chunks }, { signal });
    for (const digest of answer.missing) missing.add(Buffer.from(digest).toString("hex"));
  }
  return missing;
}

async function* parts<H>(header: H, tree: PackedTree, missing: ReadonlySet<string>): AsyncGenerator<H | ChunkPart> {
  yield header;
  const sent = tree.chunks.filter((sha256) => missing.has(sha256));
  for await (const bytes of readAhead(sent, (sha256) => tree.read(sha256), READ_AHEAD)) yield chunkPart(bytes);
  for (const part of tree.encoded.parts) yield chunkPart(part);
  yield chunkPart(tree.encoded.root);
}

function chunkPart(value: Uint8Array): ChunkPart {
  return { part: { case: "chunk", value } };
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new KedgeError("INTERNAL", "the controller answered without what it stored");
  return value;
}
