import { renameSync, writeFileSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

let counter = 0;

/**
 * Replaces a file as a whole: readers see the old content or the new one, never a part.
 * Survives the death of the process; a power failure may bring the old content back.
 *
 * @param mode permission bits of the new file; default 0600, because records hold tokens.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  counter += 1;
  const temporary = `${path}.${process.pid}.${counter}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(temporary, data, { mode });
  await rename(temporary, path);
}

/**
 * Like `writeFileAtomic`, at once, for small files in a folder that exists: what every task writes several times. Four
 * trips to the thread pool cost several times what the calls themselves do.
 */
export function writeFileAtomicSync(path: string, data: string | Uint8Array, mode = 0o600): void {
  counter += 1;
  const temporary = `${path}.${process.pid}.${counter}.tmp`;
  writeFileSync(temporary, data, { mode });
  renameSync(temporary, path);
}

/** The content of a file, or undefined when there is none. */
export async function readFileIfPresent(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
