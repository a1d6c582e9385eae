import { create } from "@bufbuild/protobuf";
import { type Bus, getChunk, hexOf, readTree } from "@kedge/bus";
import { chunkSequence, KedgeError } from "@kedge/domain";
import { readAhead } from "@kedge/kernel";
import {
  type ArtifactService,
  type CacheEntry,
  FileTreeSchema,
  type GetArtifactRequest,
  type GetArtifactResponse,
  GetArtifactResponseSchema,
  type PutArtifactHeader,
  type PutCacheHeader,
  type TreeEntry,
} from "@kedge/proto";
import type { CallContext, ServiceImplementation } from "@kedge/rpc";
import type { Artifacts } from "../files/artifacts.ts";
import { type Caches, cacheOrder } from "../files/caches.ts";
import type { ChunkHold, ChunkHolds } from "../files/chunk-holds.ts";
import { taskJobOf } from "../files/task-job.ts";
import { isStored, TreeUpload, type UploadedTree } from "../files/tree-upload.ts";
import type { Stores } from "../stores.ts";
import { pageOf } from "./paging.ts";
import { findRun } from "./run-service.ts";

/** What the artifact service works with. */
export interface ArtifactServiceOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly artifacts: Artifacts;
  readonly caches: Caches;
  readonly holds: ChunkHolds;
  /** Tells whether this controller may write. */
  readonly isLeader: () => boolean;
}

const MAX_ASKED = 4_096;
const LOOK_AT_ONCE = 64;
/** Entries of a tree are sent in slices of about this many bytes. */
const SLICE_BYTES = 512 * 1024;
const READ_AHEAD = 8;

/** ArtifactService: files of jobs in by chunks that are missing, out as a stream. */
export function createArtifactService(options: ArtifactServiceOptions): ServiceImplementation<typeof ArtifactService> {
  const { bus, stores, artifacts, caches, holds } = options;
  return {
    findMissingChunks: async ({ chunks }, { principal }) => {
      const { task } = taskJobOf(stores, principal);
      return { missing: await missingOf(bus, holds.ofTask(task.id), chunks) };
    },
    putArtifact: async (requests, context) => {
      const { header, tree } = await receive<PutArtifactHeader>(options, { requests, context, check: () => {} });
      const artifact = await artifacts.put(taskJobOf(stores, context.principal), header.name, tree);
      return { artifact, newBytes: tree.newBytes };
    },
    getArtifact: (request, { signal }) => send(options, request, signal),
    listArtifacts: async ({ runId, job }) => ({ artifacts: artifacts.list(findRun(stores, runId).value.id, job) }),
    deleteArtifact: async ({ runId, job, name }) => {
      await artifacts.delete({ runId: findRun(stores, runId).value.id, job, name });
      return {};
    },
    putCache: async (requests, context) => {
      const check = (header: PutCacheHeader) => caches.assertMayPut(taskJobOf(stores, context.principal), header);
      const { header, tree } = await receive<PutCacheHeader>(options, { requests, context, check });
      return { ...(await caches.put(taskJobOf(stores, context.principal), header, tree)), newBytes: tree.newBytes };
    },
    getCache: async (request, { principal }) => {
      const entry = await caches.find(taskJobOf(stores, principal), request);
      return entry === undefined ? {} : { entry };
    },
    listCaches: async (request) => {
      const page = pageOf<CacheEntry>(caches.list(request.scope), cacheOrder, { ...request, descending: true });
      return { entries: page.items, nextPageToken: page.nextPageToken };
    },
    deleteCache: async ({ scope, key }) => ({ deleted: await caches.delete(scope, key) }),
  };
}

async function missingOf(bus: Bus, hold: ChunkHold, chunks: readonly Uint8Array[]): Promise<Uint8Array[]> {
  if (chunks.length > MAX_ASKED) {
    throw new KedgeError("INVALID_FIELD", `${chunks.length} chunks, ask for ${MAX_ASKED} at most`, { field: "chunks" });
  }
  const missing: Uint8Array[] = [];
  for (let at = 0; at < chunks.length; at += LOOK_AT_ONCE) {
    const slice = chunks.slice(at, at + LOOK_AT_ONCE);
    const stored = await Promise.all(slice.map((chunk) => isStored(bus, hold, hexOf(chunk))));
    missing.push(...slice.filter((_, i) => stored[i] === false));
  }
  return missing;
}

/** A part of an upload: the header, first and once, then chunks. */
interface UploadPart<H extends object> {
  readonly part:
    | { readonly case: "header"; readonly value: H }
    | { readonly case: "chunk"; readonly value: Uint8Array }
    | { readonly case: undefined; readonly value?: undefined };
}

interface Upload<H extends object> {
  readonly requests: AsyncIterable<UploadPart<H>>;
  readonly context: CallContext;
  /** Refuses a header before anything is stored. */
  readonly check: (header: H) => void;
}

/** Takes an upload; what it holds is kept until the task is long over, so a document may refer to it. */
async function receive<H extends object>(
  { bus, stores, holds, isLeader }: ArtifactServiceOptions,
  { requests, context: { principal, signal }, check }: Upload<H>,
): Promise<{ readonly header: H; readonly tree: UploadedTree }> {
  const { task } = taskJobOf(stores, principal);
  const upload = new TreeUpload(bus, holds.ofTask(task.id));
  let header: H | undefined;
  for await (const { part } of requests) {
    signal.throwIfAborted();
    if (part.case === "header" && header === undefined) {
      header = part.value;
      check(header);
    } else if (part.case === "chunk" && header !== undefined) {
      await upload.add(part.value);
    } else {
      throw new KedgeError("INVALID_FIELD", "send the header first and once, then chunks", { field: "part" });
    }
  }
  if (header === undefined) throw new KedgeError("INVALID_FIELD", "the header is missing", { field: "header" });
  const tree = await upload.finish();
  // Who gave up meanwhile, or is another attempt by now, stores nothing.
  signal.throwIfAborted();
  if (!isLeader()) throw new KedgeError("NOT_LEADER", "the lease was lost during the upload; send it again");
  return { header, tree };
}

async function* send(
  { bus, stores, artifacts }: ArtifactServiceOptions,
  request: GetArtifactRequest,
  signal: AbortSignal,
): AsyncGenerator<GetArtifactResponse> {
  const { job, name, treeOnly, skipChunks } = request;
  const artifact = artifacts.find({ runId: findRun(stores, request.runId).value.id, job, name });
  yield create(GetArtifactResponseSchema, { part: { case: "artifact", value: artifact } });
  const { entries } = await readTree(artifact.digest, (sha256) => getChunk(bus, sha256));
  for (const slice of slicesOf(entries)) {
    const value = create(FileTreeSchema, { entries: slice });
    yield create(GetArtifactResponseSchema, { part: { case: "tree", value } });
  }
  if (treeOnly) return;
  const chunks = chunkSequence(entries).chunks.slice(Number(skipChunks));
  for await (const value of readAhead(chunks, (chunk) => getChunk(bus, hexOf(chunk)), READ_AHEAD)) {
    signal.throwIfAborted();
    yield create(GetArtifactResponseSchema, { part: { case: "chunk", value } });
  }
}

function* slicesOf(entries: readonly TreeEntry[]): Generator<TreeEntry[]> {
  let slice: TreeEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = entry.path.length + entry.target.length + 64 + entry.chunks.length * 34;
    if (slice.length > 0 && bytes + size > SLICE_BYTES) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(entry);
    bytes += size;
  }
  if (slice.length > 0) yield slice;
}
