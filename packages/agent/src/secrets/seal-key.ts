import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { secureBytes } from "@kedge/kernel";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";

const FILE = "seal.key";
const KEY_LENGTH = 32;

/**
 * The private half of the key that secrets are sealed to, 32 bytes. Made once, in a file that only its owner may read, and
 * never sent. A file that is damaged is replaced: only the secrets of tasks under way were sealed to it, and those fail and
 * are tried again.
 */
export async function ensureSealKey(dataDir: string): Promise<Uint8Array> {
  const path = join(dataDir, FILE);
  const stored = Buffer.from((await readFileIfPresent(path))?.toString("ascii").trim() ?? "", "base64");
  if (stored.byteLength === KEY_LENGTH) return stored;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const made = Buffer.from(secureBytes(KEY_LENGTH));
  await writeFileAtomic(path, `${made.toString("base64")}\n`);
  return made;
}
