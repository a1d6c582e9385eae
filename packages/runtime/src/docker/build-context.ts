import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, readFile, readlink, realpath } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { errorMessage, KedgeError } from "@kedge/domain";
import type { Pack } from "tar-stream";
import type { BuildOptions } from "../image-store.ts";
import { tarStream } from "../tar-stream.ts";
import { DockerIgnore } from "./dockerignore.ts";

/** A checked build context: where it really is, and its Dockerfile. */
export interface BuildContext {
  readonly folder: string;
  /** Relative to the folder. */
  readonly dockerfile: string;
  readonly ignore: DockerIgnore;
}

/** Finds and checks the context; fails with `INVALID_FIELD` when it or its Dockerfile lies elsewhere or is not there. */
export async function openBuildContext(
  options: Pick<BuildOptions, "contextDir" | "workspace" | "dockerfile">,
): Promise<BuildContext> {
  const folder = await resolved(options.contextDir, "contextDir");
  if (options.workspace !== undefined) {
    assertInside(folder, await resolved(options.workspace, "workspace"), "contextDir");
  }
  const name = options.dockerfile ?? "Dockerfile";
  const dockerfile = await resolved(join(folder, name), "dockerfile");
  assertInside(dockerfile, folder, "dockerfile");
  const path = relative(folder, join(folder, name)).split(sep).join("/");
  const ignore = (await readIfFile(folder, `${path}.dockerignore`)) ?? (await readIfFile(folder, ".dockerignore"));
  return { folder, dockerfile: path, ignore: new DockerIgnore(ignore ?? "", [path, ".dockerignore"]) };
}

/**
 * The context as a tar stream. Links are sent as links and never followed, so nothing outside the folder is read;
 * sockets, pipes and devices are left out. The stream fails when a file cannot be read or shrinks meanwhile.
 */
export function packContext(context: BuildContext, signal: AbortSignal): Readable {
  return tarStream((tar) => packFolder(tar, context, "", signal));
}

async function packFolder(tar: Pack, context: BuildContext, folder: string, signal: AbortSignal): Promise<void> {
  const names = await readdir(join(context.folder, folder));
  for (const name of names.sort()) {
    signal.throwIfAborted();
    const path = folder === "" ? name : `${folder}/${name}`;
    const excluded = context.ignore.excludes(path);
    if (excluded && context.ignore.canPrune) continue;
    await packEntry(tar, context, { path, excluded }, signal);
  }
}

async function packEntry(
  tar: Pack,
  context: BuildContext,
  { path, excluded }: { path: string; excluded: boolean },
  signal: AbortSignal,
): Promise<void> {
  const onDisk = join(context.folder, path);
  const info = await lstat(onDisk);
  const header = { name: path, mode: info.mode & 0o7777, mtime: info.mtime, uid: 0, gid: 0 };
  if (info.isDirectory()) {
    if (!excluded) tar.entry({ ...header, type: "directory" });
    await packFolder(tar, context, path, signal);
  } else if (excluded) {
    return;
  } else if (info.isSymbolicLink()) {
    tar.entry({ ...header, type: "symlink", linkname: await readlink(onDisk) });
  } else if (info.isFile()) {
    // Not following a link that has taken the file's place since.
    await using file = await open(onDisk, constants.O_RDONLY | constants.O_NOFOLLOW);
    await packFile(tar, file, header, signal);
  }
}

async function packFile(
  tar: Pack,
  file: FileHandle,
  header: { name: string; mode: number; mtime: Date },
  signal: AbortSignal,
): Promise<void> {
  const { size } = await file.stat();
  const entry = tar.entry({ ...header, size });
  // Up to the size in the header, also when the file grows meanwhile.
  const content = file.createReadStream({ start: 0, end: Math.max(0, size - 1), autoClose: false });
  await pipeline(size === 0 ? [] : content, entry, { signal });
}

async function resolved(path: string, field: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw new KedgeError("INVALID_FIELD", `${field} ${path} cannot be read: ${errorMessage(cause)}`, { cause, field });
  }
}

function assertInside(path: string, folder: string, field: string): void {
  if (path === folder || path.startsWith(folder + sep)) return;
  throw new KedgeError("INVALID_FIELD", `${field} leads out of ${folder}, to ${path}`, { field });
}

async function readIfFile(folder: string, path: string): Promise<string | undefined> {
  const file = join(folder, path);
  const real = await realpath(file).catch(() => undefined);
  if (real === undefined) return undefined;
  assertInside(real, folder, ".dockerignore");
  return readFile(real, "utf8");
}
