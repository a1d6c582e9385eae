import { KedgeError } from "@kedge/domain";
import type { FileEntry, ModelManifest } from "@kedge/proto";

const MAX_FILES = 10_000;
const MAX_PATH_LENGTH = 512;
const MAX_BYTES = 1n << 40n;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * Rejects a manifest whose files could not be laid out safely: absolute paths, "..", links between a file and a folder
 * of the same name, absurd sizes.
 *
 * @throws KedgeError INVALID_MODEL
 */
export function assertManifest(manifest: ModelManifest): void {
  if (manifest.files.length === 0 || manifest.files.length > MAX_FILES) {
    throw invalid(`it has ${manifest.files.length} files`);
  }
  const files = new Set<string>();
  let bytes = 0n;
  for (const file of manifest.files) {
    assertFile(file);
    if (files.has(file.path)) throw invalid(`${file.path} is in it twice`);
    files.add(file.path);
    bytes += file.size;
  }
  if (bytes > MAX_BYTES) throw invalid("it is larger than 1 TiB");
  for (const path of files) {
    for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) {
      if (files.has(path.slice(0, at))) throw invalid(`${path.slice(0, at)} is both a file and a folder`);
    }
  }
}

function assertFile({ path, sha256, chunks }: FileEntry): void {
  const parts = path.split("/");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  const isUnsafe = path.length > MAX_PATH_LENGTH || /[\u0000-\u001f\\]/.test(path);
  if (isUnsafe || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw invalid(`${JSON.stringify(path.slice(0, 100))} is not a path`);
  }
  if (!SHA256.test(sha256) || !chunks.every((chunk) => SHA256.test(chunk))) throw invalid(`${path} has a bad digest`);
}

function invalid(what: string): KedgeError {
  return new KedgeError("INVALID_MODEL", `model manifest refused: ${what}`);
}
