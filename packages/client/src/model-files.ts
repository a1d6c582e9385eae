import { readdir, realpath, stat } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { KedgeError } from "@kedge/domain";

/** One file of a model on disk. */
export interface ModelFile {
  /** In the model: relative, '/'-separated. */
  readonly path: string;
  /** On disk, symbolic links resolved. */
  readonly source: string;
  readonly sizeBytes: number;
}

/**
 * The files of a folder, or the one file given, sorted by path. Symbolic links are followed while they stay inside.
 *
 * @throws KedgeError INVALID_MODEL for a link that leads out, for anything that is neither file nor folder, and for
 * nothing at all.
 */
export async function listModelFiles(path: string): Promise<ModelFile[]> {
  const root = await realpath(path).catch((cause: unknown) => {
    throw new KedgeError("INVALID_MODEL", `cannot read ${path}`, { cause, field: "path" });
  });
  const info = await stat(root);
  if (info.isFile()) return [{ path: basename(path), source: root, sizeBytes: info.size }];
  const files: ModelFile[] = [];
  await walk({ root, folder: root, ancestors: [root] }, files);
  if (files.length === 0) throw new KedgeError("INVALID_MODEL", `${path} holds no files`, { field: "path" });
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface Place {
  readonly root: string;
  /** Where we are, as named inside the root. */
  readonly folder: string;
  /** Real paths of the folders above and of this one: a link to any of them would never end. */
  readonly ancestors: readonly string[];
}

async function walk(place: Place, files: ModelFile[]): Promise<void> {
  for (const name of await readdir(place.folder)) {
    const named = join(place.folder, name);
    const path = relative(place.root, named).split(sep).join("/");
    const source = await realpath(named);
    if (!source.startsWith(place.root + sep)) throw refuse(path, "is a link that leads out of the model's folder");
    const info = await stat(source);
    if (info.isFile()) files.push({ path, source, sizeBytes: info.size });
    else if (!info.isDirectory()) throw refuse(path, "is neither a file nor a folder");
    else if (place.ancestors.includes(source)) throw refuse(path, "is a link to a folder that contains it");
    else await walk({ root: place.root, folder: named, ancestors: [...place.ancestors, source] }, files);
  }
}

function refuse(path: string, what: string): KedgeError {
  return new KedgeError("INVALID_MODEL", `${path} ${what}`, { field: "path" });
}

/** Tells whether a path of a manifest stays inside the folder it is written to. */
export function isSafeModelPath(path: string): boolean {
  if (path === "" || path.length > 1_024 || /[\\\0]/.test(path)) return false;
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
