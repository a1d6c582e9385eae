import { create } from "@bufbuild/protobuf";
import { type LogChunk, type LogExcerpt, LogExcerptSchema } from "@kedge/proto";

/** What is looked for. */
export interface LogSearchOptions {
  readonly text: string;
  /** Lines shown before and after each that was found. */
  readonly context: number;
}

interface Line {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly chunk: LogChunk;
}

interface StreamState {
  /** Lines that ended. */
  count: number;
  /** What was read of the line that has not ended. */
  partial: Uint8Array;
  /** The last lines that were not shown. */
  before: Line[];
  /** How many lines to show, found or not. */
  after: number;
}

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const MAX_LINE_BYTES = 64 * 1024;

/** Finds lines that hold a text in the chunks of many tasks, as they come. Holds the lines of the context only. */
export class LogSearch {
  readonly #needle: Buffer;
  readonly #context: number;
  readonly #streams = new Map<string, StreamState>();
  #found = 0;
  #lines = 0;

  constructor({ text, context }: LogSearchOptions) {
    this.#needle = Buffer.from(text);
    this.#context = context;
  }

  /** Lines found, and lines looked at. */
  get counts(): { readonly found: bigint; readonly lines: bigint } {
    return { found: BigInt(this.#found), lines: BigInt(this.#lines) };
  }

  /** What a chunk adds: the lines found that end in it, with their neighbours. */
  push(chunk: LogChunk): LogExcerpt[] {
    const stream = this.#stream(chunk);
    const bytes = stream.partial.length === 0 ? chunk.data : Buffer.concat([stream.partial, chunk.data]);
    // Most chunks hold nothing that is looked for.
    const isCounted =
      this.#context === 0 && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(this.#needle) < 0;
    const excerpts: LogExcerpt[] = [];
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      if (isCounted) this.#count(stream);
      else excerpts.push(...this.#line(stream, chunk, bytes.subarray(start, end)));
      start = end + 1;
    }
    for (; bytes.length - start >= MAX_LINE_BYTES; start += MAX_LINE_BYTES) {
      excerpts.push(...this.#line(stream, chunk, bytes.subarray(start, start + MAX_LINE_BYTES)));
    }
    stream.partial = bytes.slice(start);
    return excerpts;
  }

  /** What is found in lines that never ended. */
  finish(last: ReadonlyMap<string, LogChunk>): LogExcerpt[] {
    return [...last].flatMap(([key, chunk]) => {
      const stream = this.#streams.get(key);
      if (stream === undefined || stream.partial.length === 0) return [];
      const { partial } = stream;
      stream.partial = new Uint8Array(0);
      return this.#line(stream, chunk, partial);
    });
  }

  #stream(chunk: LogChunk): StreamState {
    const key = streamKey(chunk);
    const stream = this.#streams.get(key) ?? { count: 0, partial: new Uint8Array(0), before: [], after: 0 };
    this.#streams.set(key, stream);
    return stream;
  }

  #count(stream: StreamState): void {
    stream.count += 1;
    this.#lines += 1;
  }

  #line(stream: StreamState, chunk: LogChunk, bytes: Uint8Array): LogExcerpt[] {
    this.#count(stream);
    const line = { number: stream.count, bytes, chunk };
    if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(this.#needle)) {
      this.#found += 1;
      const shown = [...stream.before.map((each) => excerpt(each, false)), excerpt(line, true)];
      stream.before = [];
      stream.after = this.#context;
      return shown;
    }
    if (stream.after > 0) {
      stream.after -= 1;
      return [excerpt(line, false)];
    }
    if (this.#context > 0) {
      // A copy: the chunk may be large and is not to be held for a line of it.
      stream.before.push({ ...line, bytes: bytes.slice() });
      if (stream.before.length > this.#context) stream.before.shift();
    }
    return [];
  }
}

/** Which lines belong together. */
export function streamKey({ ref, step, stream }: LogChunk): string {
  return JSON.stringify([ref?.taskId, step, stream]);
}

function excerpt({ number, bytes, chunk }: Line, found: boolean): LogExcerpt {
  const { ref, step, stream, at } = chunk;
  const end = bytes.at(-1) === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString("utf8");
  const place = { taskId: ref?.taskId ?? "", step, stream, line: BigInt(number), found, text };
  return create(LogExcerptSchema, at === undefined ? place : { ...place, at });
}
