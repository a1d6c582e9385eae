import type { LogStream } from "@kedge/proto";
import type { LogOffset } from "@kedge/runtime";

/** Most bytes in one chunk: with what is around them, less than the 512 KiB that encoders and buffers grow to. */
export const MAX_CHUNK_BYTES = 480 * 1024;
const MAX_QUEUED_BYTES = 4 * MAX_CHUNK_BYTES;

/** Output of one step and stream, masked. */
export interface QueuedPiece {
  readonly step: string;
  readonly stream: LogStream;
  readonly data: Uint8Array;
  readonly workload: string | undefined;
  /** How much of the workload's output is told with this piece. */
  readonly offset: LogOffset | undefined;
  /** It says that the rest is dropped. */
  readonly tellsLimit: boolean;
}

interface Joined extends Omit<QueuedPiece, "data"> {
  readonly parts: Uint8Array[];
  size: number;
  offset: LogOffset | undefined;
}

/** Pieces that wait to become chunks; neighbours of one step and stream become one. */
export class LogQueue {
  #pieces: Joined[] = [];
  #bytes = 0;
  #waiters: (() => void)[] = [];

  /** How many chunks it makes. */
  get length(): number {
    return this.#pieces.length;
  }

  /** There is enough for a chunk. */
  get isFull(): boolean {
    return this.#bytes >= MAX_CHUNK_BYTES;
  }

  /** Resolves when there is room for a piece, or the signal has aborted: somebody clears the queue then. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#bytes >= MAX_QUEUED_BYTES && !signal.aborted) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  add(piece: QueuedPiece): void {
    for (let at = 0; at < piece.data.length; at += MAX_CHUNK_BYTES) this.#append(piece, at);
  }

  /** The next chunk's content; undefined: there is none. */
  take(): QueuedPiece | undefined {
    const next = this.#pieces.shift();
    if (next === undefined) return undefined;
    this.#bytes -= next.size;
    this.#wake();
    const { parts, size, ...rest } = next;
    const [only] = parts;
    return { ...rest, data: parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, size) };
  }

  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#wake();
  }

  #append(piece: QueuedPiece, at: number): void {
    const data = piece.data.subarray(at, at + MAX_CHUNK_BYTES);
    const isWhole = at + data.length === piece.data.length;
    const last = this.#pieces.at(-1);
    this.#bytes += data.length;
    if (last !== undefined && isSame(last, piece) && last.size + data.length <= MAX_CHUNK_BYTES) {
      last.parts.push(data);
      last.size += data.length;
      if (isWhole) last.offset = piece.offset;
      return;
    }
    // The offset counts only with the last part of its piece.
    this.#pieces.push({ ...piece, offset: isWhole ? piece.offset : undefined, parts: [data], size: data.length });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

function isSame(a: Joined, b: QueuedPiece): boolean {
  return a.step === b.step && a.stream === b.stream && a.workload === b.workload && !a.tellsLimit && !b.tellsLimit;
}
