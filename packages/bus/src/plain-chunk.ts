import { create } from "@bufbuild/protobuf";
import { decompressZstd } from "@kedge/kernel";
import { type LogChunk, LogChunkSchema, LogCompression } from "@kedge/proto";

/** Most bytes in one chunk, as the agents' protocol has it. */
const MAX_CHUNK_BYTES = 512 * 1024;

/** The chunk as it was written; one whose node compressed something else than a chunk counts as empty. */
export function plainLogChunk(chunk: LogChunk): LogChunk {
  if (chunk.compression === LogCompression.UNSPECIFIED) return chunk;
  return create(LogChunkSchema, { ...chunk, compression: LogCompression.UNSPECIFIED, data: plainData(chunk) });
}

function plainData({ data, compression }: LogChunk): Uint8Array {
  try {
    if (compression === LogCompression.ZSTD) return decompressZstd(data, MAX_CHUNK_BYTES);
  } catch {
    // Only its own node can have made it, and only its own job's log is the poorer for it.
  }
  return new Uint8Array(0);
}
