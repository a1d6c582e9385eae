import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { resolveInside } from "../tasks/workspace.ts";
import { StepFailure } from "./step-failure.ts";

/** One file of a model on the disk. */
export interface ModelFile {
  /** Path in the model, '/'-separated. */
  readonly path: string;
  readonly source: string;
}

const MAX_FILES = 10_000;
const BLOCK_BYTES = 512 * 1024;

/**
 * The files of a model: one file, or all files of a folder, sorted by path.
 *
 * @throws StepFailure INVALID when there are none, too many, or anything but plain files and folders (links, devices).
 */
export async function listModelFiles(workspace: string, path: string): Promise<ModelFile[]> {
  const source = await resolveInside(workspace, path, "model.path");
  if ((await stat(source)).isFile()) return [{ path: basename(source), source }];
  const files: ModelFile[] = [];
  await collect(source, "", files);
  if (files.length === 0) throw new StepFailure("INVALID", `model.path: ${path} holds no files`);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function collect(directory: string, prefix: string, files: ModelFile[]): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = `${prefix}${entry.name}`;
    const source = join(directory, entry.name);
    if (entry.isDirectory()) await collect(source, `${path}/`, files);
    else if (entry.isFile()) files.push({ path, source });
    else throw new StepFailure("INVALID", `model.path: ${path} is neither a file nor a folder`);
    if (files.length > MAX_FILES) throw new StepFailure("INVALID", `model.path: more than ${MAX_FILES} files`);
  }
}

/** A file's content in blocks of at most 512 KiB, read as they are asked for; an empty file is one empty block. */
export async function* readBlocks(source: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
  let empty = true;
  for await (const block of createReadStream(source, { highWaterMark: BLOCK_BYTES, signal })) {
    empty = false;
    yield block;
  }
  if (empty) yield new Uint8Array();
}
