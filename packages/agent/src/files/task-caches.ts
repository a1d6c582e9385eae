import { lstat, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { readTree } from "@kedge/bus";
import { errorMessage, isInnerLink, isTreePath } from "@kedge/domain";
import { type CacheSpec, TreeEntryKind } from "@kedge/proto";
import { StepFailure } from "../steps/step-failure.ts";
import { cacheKey } from "./cache-key.ts";
import { findFiles } from "./find-files.ts";
import { formatBytes } from "./format-bytes.ts";
import type { KnownCache } from "./known-cache.ts";
import { PackedTree, type TreeSource } from "./packed-tree.ts";
import type { FilesContext } from "./task-files.ts";
import { unpackTree } from "./unpack-tree.ts";

const STEP = "cache";

/**
 * Puts into place what the caches of a job hold. A cache that cannot be had is as good as an empty one.
 *
 * @returns one for each cache of the job, in their order.
 */
export async function restoreCaches(context: FilesContext): Promise<KnownCache[]> {
  const known: KnownCache[] = [];
  for (const cache of context.record.offer.job?.caches ?? []) {
    const { workspace } = context.record;
    const key = await cacheKey(cache.key, workspace, context.signal);
    const isExact = await orNothing(context, `${key}: not restored`, () => restore(context, cache, key));
    known.push({ key, isExact: isExact === true });
  }
  return known;
}

/** Stores the caches of a job that has succeeded, those of new keys. */
export async function saveCaches(context: FilesContext, known: readonly KnownCache[]): Promise<void> {
  const { job, cachesReadOnly } = context.record.offer;
  for (const [i, cache] of (job?.caches ?? []).entries()) {
    const { key, isExact } = known[i] ?? { key: "", isExact: true };
    if (isExact || cache.readOnly || cachesReadOnly) continue;
    await orNothing(context, `${key}: not stored`, () => save(context, cache, key));
  }
}

async function restore(context: FilesContext, { paths, restoreKeys }: CacheSpec, key: string): Promise<boolean> {
  const { record, store, log, signal } = context;
  const prefixes = await Promise.all(restoreKeys.map((prefix) => cacheKey(prefix, record.workspace, signal)));
  const entry = await store.findCache({ key, restoreKeys: prefixes, paths }, signal);
  if (entry === undefined) {
    await log.note(STEP, `${key}: nothing is stored`);
    return false;
  }
  const readChunk = (sha256: string) => store.readChunk(sha256);
  const { entries } = await readTree(entry.digest, readChunk);
  const staging = await mkdtemp(join(record.directory, "cache-"));
  try {
    await unpackTree({ entries, readChunk, root: staging, folder: "", signal });
    for (const [i, path] of paths.entries())
      await moveInto(join(staging, String(i)), record.workspace, inWorkspace(path));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  const by = entry.key === key ? "" : ` by ${entry.key}`;
  await log.note(STEP, `${key}: restored${by}, ${entry.files} files, ${formatBytes(entry.bytes)}`);
  return entry.key === key;
}

/** Takes the place of what is there; no link may be on the way. */
async function moveInto(source: string, workspace: string, path: string): Promise<void> {
  if ((await lstat(source).catch(() => undefined)) === undefined) return; // This path was not there when it was stored.
  await makeFolder(workspace, path.split("/").slice(0, -1));
  const target = join(workspace, path);
  await rm(target, { recursive: true, force: true });
  await rename(source, target);
}

/** Makes folders one by one, none through a link. */
async function makeFolder(workspace: string, parts: readonly string[]): Promise<void> {
  let at = workspace;
  for (const part of parts) {
    at = join(at, part);
    await mkdir(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    if (!(await lstat(at)).isDirectory()) throw new StepFailure("INVALID", `${parts.join("/")} is no folder`);
  }
}

async function save(context: FilesContext, { paths }: CacheSpec, key: string): Promise<void> {
  const { store, log, signal } = context;
  const sources = await Promise.all(paths.map((path, i) => sourceOf(context, inWorkspace(path), String(i))));
  if (sources.every(({ files }) => files.length === 0)) return log.note(STEP, `${key}: there is nothing to store`);
  const tree = await PackedTree.pack(sources, signal);
  const { newBytes } = await store.putCache({ key, paths }, tree, signal);
  const { files, bytes } = tree.encoded;
  await log.note(STEP, `${key}: stored, ${files} files, ${formatBytes(bytes)}, ${formatBytes(newBytes)} of it new`);
}

/** One cached path, under its number in the tree. */
async function sourceOf({ record, log, signal }: FilesContext, path: string, name: string): Promise<TreeSource> {
  const { files, skipped } = await findFiles(record.workspace, [globOf(path)], signal);
  const rename = (it: string): string => (it === path ? name : `${name}${it.slice(path.length)}`);
  const kept = files.filter(
    ({ kind, path: at, target }) => kind !== TreeEntryKind.LINK || isInnerLink(rename(at), target),
  );
  const out = files.length - kept.length;
  const notes = out === 0 ? skipped : [...skipped, `${out} links in ${path} lead out of it`];
  for (const note of notes) await log.note(STEP, `${note}; passed over`);
  return { folder: record.workspace, files: kept, rename };
}

/** @throws StepFailure INVALID for the workspace as a whole. */
function inWorkspace(path: string): string {
  // HOME of a job that caches parts of it is its workspace.
  const inner = path
    .replace(/^~\//, "")
    .replace(/^(?:\.\/)+/, "")
    .replace(/\/+$/, "");
  if (isTreePath(inner)) return inner;
  throw new StepFailure("INVALID", `${JSON.stringify(path)} is no path below the workspace`);
}

/** Cached paths are taken as they are written. */
function globOf(path: string): string {
  return path.replaceAll(/[*?[{]/g, (char) => (char === "{" ? "?" : `[${char}]`));
}

async function orNothing<T>(context: FilesContext, what: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    context.signal.throwIfAborted();
    await context.log.note(STEP, `${what}: ${errorMessage(error)}`);
    return undefined;
  }
}
