import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Clock, decompressZstd, hasZstd, systemClock } from "@kedge/kernel";
import { LogCompression, type LogStream, type StreamLogsRequestSchema, type StreamLogsResponse } from "@kedge/proto";
import type { KedgeClient } from "./client.ts";
import { resumed } from "./resume.ts";

/** Which logs, what of them, and for how long. */
export interface FollowLogsOptions {
  readonly runId: string;
  /** Default: all jobs. */
  readonly job?: string;
  /** Default: all steps. */
  readonly step?: string;
  /** Stay until the run has ended; default true. */
  readonly follow?: boolean;
  /** Only what was logged from then on, milliseconds since 1970. */
  readonly sinceMs?: number;
  /** Only the last so many lines of each job. */
  readonly tail?: number;
  /** Only lines that hold this text, as excerpts, and a summary at the end. */
  readonly search?: string;
  /** Lines around each that was found. */
  readonly context?: number;
  /** Only steps that failed; not with `follow`. */
  readonly failed?: boolean;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/** One line of a step's output. */
export interface LogLine {
  readonly job: string;
  readonly step: string;
  readonly stream: LogStream;
  /** Milliseconds since 1970, of the chunk in which the line ended; 0: not known. */
  readonly atMs: number;
  /** Without the line end. */
  readonly text: string;
}

const MAX_CHUNK_BYTES = 512 * 1024;

/** Longest line that is put together from chunks, characters; longer ones are handed out in pieces. */
const MAX_LINE = 1024 * 1024;

/**
 * What there is of a run's logs, each chunk once: when the connection breaks it is opened again behind the last answer,
 * however long the log is, and what comes twice is skipped by its number. A search begins anew, and skips as many excerpts
 * as were handed out.
 */
export async function* followLogs(client: KedgeClient, options: FollowLogsOptions): AsyncGenerator<StreamLogsResponse> {
  const { signal, clock = systemClock } = options;
  const place = new LogPlace(requestOf(options));
  const open = () => client.runs.streamLogs(place.begin(), signal === undefined ? {} : { signal });
  for await (const message of resumed(open, { clock, signal })) if (place.isNew(message)) yield plain(message);
}

/** Chunks travel compressed where both sides can; nobody else has to know. */
function plain(message: StreamLogsResponse): StreamLogsResponse {
  const { chunk } = message;
  if (chunk?.compression !== LogCompression.ZSTD) return message;
  chunk.data = decompressZstd(chunk.data, MAX_CHUNK_BYTES);
  chunk.compression = LogCompression.UNSPECIFIED;
  return message;
}

function requestOf(options: FollowLogsOptions): MessageInitShape<typeof StreamLogsRequestSchema> {
  const { runId, job = "", step = "", follow = true, sinceMs, tail = 0, search = "", context = 0, failed } = options;
  const since = sinceMs === undefined ? {} : { since: timestampFromMs(sinceMs) };
  return { runId, job, step, follow, ...since, tail, search, context, failed: failed ?? false, compressed: hasZstd };
}

/** How far a log was read. */
class LogPlace {
  readonly #request: MessageInitShape<typeof StreamLogsRequestSchema>;
  readonly #after = new Map<string, bigint>();
  #position = 0n;
  #excerpts = 0;
  #skip = 0;

  constructor(request: MessageInitShape<typeof StreamLogsRequestSchema>) {
    this.#request = request;
  }

  /** What to ask for. */
  begin(): MessageInitShape<typeof StreamLogsRequestSchema> {
    this.#skip = this.#excerpts;
    if (this.#request.search !== "") return this.#request;
    return { ...this.#request, position: this.#position, after: Object.fromEntries(this.#after) };
  }

  /** Whether the answer was not handed out before. */
  isNew({ chunk, excerpt, position }: StreamLogsResponse): boolean {
    if (excerpt !== undefined) {
      this.#excerpts += this.#skip > 0 ? 0 : 1;
      return this.#skip-- <= 0;
    }
    if (position > this.#position) this.#position = position;
    const taskId = chunk?.ref?.taskId ?? "";
    const sequence = chunk?.sequence ?? 0n;
    if (sequence === 0n) return true;
    if (sequence <= (this.#after.get(taskId) ?? 0n)) return false;
    this.#after.set(taskId, sequence);
    return true;
  }
}

interface Partial {
  readonly decoder: InstanceType<typeof TextDecoder>;
  text: string;
  last: Omit<LogLine, "text">;
}

/** Puts chunks together to lines, per task, step and stream; a chunk may end inside a line or a character. */
export class LogLines {
  readonly #partials = new Map<string, Partial>();

  /** The lines that end in a chunk. */
  push({ job, chunk }: StreamLogsResponse): LogLine[] {
    if (chunk === undefined) return [];
    const { step, stream } = chunk;
    const at = { job, step, stream, atMs: chunk.at === undefined ? 0 : timestampMs(chunk.at) };
    const key = JSON.stringify([chunk.ref?.taskId ?? job, step, stream]);
    const partial = this.#partials.get(key) ?? { decoder: new TextDecoder(), text: "", last: at };
    this.#partials.set(key, partial);
    partial.last = at;
    const texts = (partial.text + partial.decoder.decode(chunk.data, { stream: true })).split("\n");
    partial.text = texts.pop() ?? "";
    const lines = texts.map((text) => ({ ...at, text: text.endsWith("\r") ? text.slice(0, -1) : text }));
    if (partial.text.length > MAX_LINE) {
      lines.push({ ...at, text: partial.text });
      partial.text = "";
    }
    return lines;
  }

  /** What never ended. */
  rest(): LogLine[] {
    const rest = [...this.#partials.values()].map(({ decoder, text, last }) => ({
      ...last,
      text: text + decoder.decode(),
    }));
    this.#partials.clear();
    return rest.filter(({ text }) => text !== "");
  }
}

/** The lines of chunks. @see LogLines */
export async function* logLines(chunks: AsyncIterable<StreamLogsResponse>): AsyncGenerator<LogLine> {
  const lines = new LogLines();
  for await (const message of chunks) yield* lines.push(message);
  yield* lines.rest();
}
