import type { LogChunk, LogOffset } from "../runtime.ts";

const HEADER_BYTES = 8;
const MAX_CHUNK_BYTES = 64 * 1024;

type Stream = LogChunk["stream"];

/** A part of a frame: frames are cut where the network cut them, so that none is ever held whole. */
interface Piece {
  readonly stream: Stream;
  readonly data: Buffer;
}

/**
 * Takes apart the engine's multiplexed stream: frames of a kind (1 stdout, 2 stderr), three zero bytes, a length
 * (big-endian, 4 bytes), data. https://docs.docker.com/reference/api/engine/ "ContainerAttach", stream format
 */
export class FrameReader {
  #header = Buffer.alloc(0);
  #stream: Stream = "stdout";
  #left = 0;

  /** The data in the next bytes, neighbours of one stream joined. */
  push(bytes: Buffer): Piece[] {
    const parts: { stream: Stream; data: Buffer[] }[] = [];
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#left === 0) {
        rest = this.#readHeader(rest);
        continue;
      }
      const data = rest.subarray(0, this.#left);
      this.#left -= data.length;
      rest = rest.subarray(data.length);
      const last = parts.at(-1);
      if (last?.stream === this.#stream) last.data.push(data);
      else parts.push({ stream: this.#stream, data: [data] });
    }
    return parts.map(({ stream, data }) => ({ stream, data: Buffer.concat(data) }));
  }

  #readHeader(bytes: Buffer): Buffer {
    const missing = HEADER_BYTES - this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, missing)]);
    if (this.#header.length < HEADER_BYTES) return Buffer.alloc(0);
    this.#stream = this.#header[0] === 2 ? "stderr" : "stdout";
    this.#left = this.#header.readUInt32BE(4);
    this.#header = Buffer.alloc(0);
    return bytes.subarray(missing);
  }
}

/** Chunks of a multiplexed stream, from the offset on: what came before it is read and dropped. */
export async function* demultiplex(source: AsyncIterable<Buffer>, from: LogOffset): AsyncGenerator<LogChunk> {
  const frames = new FrameReader();
  const position = { stdout: 0, stderr: 0 };
  for await (const bytes of source) {
    for (const { stream, data } of frames.push(bytes)) {
      const start = position[stream];
      const fresh = data.subarray(Math.max(0, from[stream] - start));
      position[stream] = start + data.length - fresh.length;
      yield* cut(stream, fresh, position);
    }
  }
}

function* cut(
  stream: Stream,
  data: Buffer,
  position: { -readonly [K in keyof LogOffset]: LogOffset[K] },
): Generator<LogChunk> {
  for (let at = 0; at < data.length; at += MAX_CHUNK_BYTES) {
    const part = data.subarray(at, at + MAX_CHUNK_BYTES);
    position[stream] += part.length;
    yield { stream, data: part, offset: { ...position } };
  }
}
