import { createHash } from "node:crypto";

/** Files up to this share chunks: a chunk for each would cost the store more than its content. */
export const SMALL_FILE_BYTES = 64 * 1024;

const FILES_A_PACK = 32;

/**
 * Tells whether a chunk of small files ends behind this one, whatever is before it. So a file that is added, goes or changes
 * touches the chunk around it and no other (the idea of content-defined chunking: Muthitacharoen and others, LBFS, 2001).
 */
export function isPackEnd(path: string): boolean {
  const [byte = 0] = createHash("sha1").update(path).digest();
  return byte % FILES_A_PACK === 0;
}
