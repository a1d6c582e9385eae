// Names that an older Node does not have must not be imported by name: the whole program would not start.
import zlib from "node:zlib";

const { constants, zstdCompressSync, zstdDecompressSync } = zlib;
const FAST = { params: { [constants.ZSTD_c_compressionLevel ?? 100]: 1 } };

/** Whether this Node can compress and decompress: from 22.15 on. */
export const hasZstd = typeof zstdCompressSync === "function";

/** The bytes as one Zstandard frame (RFC 8878), at the speed of a log; undefined when that saves less than a tenth. */
export function compressZstd(bytes: Uint8Array): Uint8Array | undefined {
  if (!hasZstd) return undefined;
  const frame = zstdCompressSync(bytes, FAST);
  return frame.length < bytes.length * 0.9 ? frame : undefined;
}

/**
 * The bytes of a Zstandard frame.
 *
 * @throws Error when it is none, or holds more than `maxBytes`.
 */
export function decompressZstd(frame: Uint8Array, maxBytes: number): Uint8Array {
  return zstdDecompressSync(frame, { maxOutputLength: maxBytes });
}
