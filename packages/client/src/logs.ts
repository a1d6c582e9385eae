import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Clock, systemClock } from "@kedge/kernel";
import type { LogStream, StreamLogsResponse } from "@kedge/proto";
import type { KedgeClient } from "./client.ts";
import { resumed } from "./resume.ts";

/** Which logs, and for how long. */
export interface FollowLogsOptions {
  readonly runId: string;
  /** Default: all jobs. */
  readonly job?: string;
  /** Stay until the run has ended; default true. */
  readonly follow?: boolean;
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

/** Longest line that is put together from chunks, characters; longer ones are handed out in pieces. */
const MAX_LINE = 64 * 1024;

/**
 * The log chunks of a run, each once: when the connection breaks it is opened again, and what was seen is skipped by
 * its sequence number.
 */
export async function* followLogs(client: KedgeClient, options: FollowLogsOptions): AsyncGenerator<StreamLogsResponse> {
  const { signal, clock = systemClock } = options;
  const request = { runId: options.runId, job: options.job ?? "", follow: options.follow ?? true };
  const open = () => client.runs.streamLogs(request, signal === undefined ? {} : { signal });
  const seen = new Map<string, bigint>();
  for await (const message of resumed(open, { clock, signal })) {
    const taskId = message.chunk?.ref?.taskId ?? "";
    const sequence = message.chunk?.sequence ?? 0n;
    if (sequence !== 0n) {
      if (sequence <= (seen.get(taskId) ?? 0n)) continue;
      seen.set(taskId, sequence);
    }
    yield message;
  }
}

interface Partial {
  readonly decoder: InstanceType<typeof TextDecoder>;
  text: string;
  last: Omit<LogLine, "text">;
}

/** Puts chunks together to lines, per task, step and stream; a chunk may end inside a line or a character. */
export async function* logLines(chunks: AsyncIterable<StreamLogsResponse>): AsyncGenerator<LogLine> {
  const partials = new Map<string, Partial>();
  for await (const { job, chunk } of chunks) {
    if (chunk === undefined) continue;
    const at = {
      job,
      step: chunk.step,
      stream: chunk.stream,
      atMs: chunk.at === undefined ? 0 : timestampMs(chunk.at),
    };
    const key = JSON.stringify([chunk.ref?.taskId ?? job, chunk.step, chunk.stream]);
    const partial = partials.get(key) ?? { decoder: new TextDecoder(), text: "", last: at };
    partials.set(key, partial);
    partial.last = at;
    const lines = (partial.text + partial.decoder.decode(chunk.data, { stream: true })).split("\n");
    partial.text = lines.pop() ?? "";
    for (const line of lines) yield { ...at, text: line.endsWith("\r") ? line.slice(0, -1) : line };
    if (partial.text.length > MAX_LINE) {
      yield { ...at, text: partial.text };
      partial.text = "";
    }
  }
  for (const { decoder, text, last } of partials.values()) {
    const rest = text + decoder.decode();
    if (rest !== "") yield { ...last, text: rest };
  }
}
