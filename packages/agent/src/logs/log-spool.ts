import { closeSync, openSync, readFileSync, renameSync, writeSync, writevSync } from "node:fs";
import type { LogCompression, LogStream } from "@kedge/proto";
import type { LogOffset } from "@kedge/runtime";

/** How far a task's log was cut into chunks. */
export interface LogState {
  /** Number of the last chunk; 0 before the first. */
  readonly sequence: number;
  /** Bytes of output in all chunks. */
  readonly bytes: number;
  /** People were told that the rest is dropped. */
  readonly isLimited: boolean;
  /** Where reading a workload's output goes on, by its id. */
  readonly offsets: Readonly<Record<string, LogOffset>>;
}

/** One chunk, and the state after it. */
export interface SpooledChunk {
  readonly state: LogState;
  readonly step: string;
  readonly stream: LogStream;
  readonly atMs: number;
  /** How `data` is compressed. */
  readonly compression: LogCompression;
  readonly data: Uint8Array;
}

/** What an earlier process left. */
export interface SpoolContent {
  readonly state: LogState;
  /** Chunks that are not known to be stored, in order. */
  readonly chunks: readonly SpooledChunk[];
}

/** Before the first chunk. */
export const NO_LOG: LogState = { sequence: 0, bytes: 0, isLimited: false, offsets: {} };

const MAX_FILE_BYTES = 32 * 1024 * 1024;
/** Sequence number of the last chunk that is stored. */
const HEAD_BYTES = 8;
/** Lengths of a chunk's description and data. */
const RECORD_BYTES = 8;

/**
 * The chunks of a task's log that are on their way, on the disk: written before they are sent, so that another process
 * sends exactly these again. Appended to, never changed but for the number of the last chunk that is stored; begun anew
 * at 32 MiB. It is never flushed: it has to survive the process, not the machine, and what a kill cuts off at its end
 * was not sent.
 */
export class LogSpool {
  readonly #path: string;
  #file: number | undefined;
  #size = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** What is there; undefined when nothing is. */
  read(): SpoolContent | undefined {
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#path);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
    if (bytes.length < HEAD_BYTES) return undefined;
    const stored = Number(bytes.readBigUInt64LE(0));
    const all = [...records(bytes)];
    const chunks = all.filter(({ state, data }) => data.length > 0 && state.sequence > stored);
    return { state: all.at(-1)?.state ?? NO_LOG, chunks };
  }

  /** @param waiting the chunks before it that are not known to be stored */
  append(chunk: SpooledChunk, waiting: readonly SpooledChunk[]): void {
    if (this.#file === undefined || this.#size > MAX_FILE_BYTES) this.#begin([...waiting, chunk]);
    else this.#write(chunk);
  }

  /** Notes that a chunk and all before it are stored. */
  acknowledge(sequence: number): void {
    if (this.#file !== undefined) writeSync(this.#file, head(sequence), 0, HEAD_BYTES, 0);
  }

  /** Lets go of the file; the next chunk begins it anew. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  /** A new file with what counts of the old one, which it replaces as a whole. */
  #begin(chunks: readonly SpooledChunk[]): void {
    this.close();
    const temporary = `${this.#path}.new`;
    this.#file = openSync(temporary, "w", 0o600);
    const [first] = chunks;
    this.#size = writeSync(this.#file, head((first?.state.sequence ?? 1) - 1), 0, HEAD_BYTES, 0);
    for (const chunk of chunks) this.#write(chunk);
    renameSync(temporary, this.#path);
  }

  #write({ data, ...description }: SpooledChunk): void {
    const text = Buffer.from(JSON.stringify(description));
    const lengths = Buffer.alloc(RECORD_BYTES);
    lengths.writeUInt32LE(text.length, 0);
    lengths.writeUInt32LE(data.length, 4);
    const parts = [lengths, text, data];
    const length = RECORD_BYTES + text.length + data.length;
    if (this.#file === undefined || writevSync(this.#file, parts, this.#size) !== length) {
      throw new Error(`${this.#path}: a chunk could not be written whole`);
    }
    this.#size += length;
  }
}

function head(sequence: number): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes.writeBigUInt64LE(BigInt(sequence));
  return bytes;
}

/** The records that are whole; the last may have been cut off. */
function* records(bytes: Buffer): Generator<SpooledChunk> {
  for (let at = HEAD_BYTES; at + RECORD_BYTES <= bytes.length; ) {
    const text = at + RECORD_BYTES;
    const data = text + bytes.readUInt32LE(at);
    const end = data + bytes.readUInt32LE(at + 4);
    if (end > bytes.length) return;
    // Written by this program, into a folder that only it may write.
    const description: Omit<SpooledChunk, "data"> = JSON.parse(bytes.toString("utf8", text, data));
    yield { ...description, data: bytes.subarray(data, end) };
    at = end;
  }
}
