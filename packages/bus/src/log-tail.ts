import type { LogChunk } from "@kedge/proto";
import type { Bus } from "./bus.ts";
import { type LogSelection, readLogEntries } from "./logs.ts";
import { plainLogChunk } from "./plain-chunk.ts";

/** Whose last lines are looked for. */
export interface LogTailOptions extends LogSelection {
  /** How many; at least 1. */
  readonly lines: number;
  /** Which chunks count; default: all. */
  readonly counts?: (chunk: LogChunk) => boolean;
}

/** Where the last lines of a log begin. */
export interface LogTail {
  /** Of the chunk they begin in. */
  readonly position: number;
  /** Lines of that chunk that are before them. */
  readonly skipLines: number;
}

interface Counted {
  readonly position: number;
  /** Line ends in the chunk. */
  readonly lines: number;
  readonly endsLine: boolean;
}

const FIRST_SPAN = 4;
const SPAN_GROWTH = 8;
const LINE_FEED = 10;

/**
 * Finds the last lines of a log by reading its end, then more and more of it; what lies before is not read. Undefined when
 * there is nothing. The time goes with the lines, and a little with what other runs logged at the same time.
 */
export async function findLogTail(
  bus: Bus,
  options: LogTailOptions,
  signal: AbortSignal,
): Promise<LogTail | undefined> {
  const last = await lastPosition(bus, options, signal);
  for (let span = FIRST_SPAN; last !== undefined; span *= SPAN_GROWTH) {
    const position = Math.max(1, last - span);
    const counted = await countFrom(bus, options, position, signal);
    const tail = beginOf(counted, options.lines);
    if (tail !== undefined) return tail;
    const [first] = counted;
    if (position === 1) return first === undefined ? undefined : { position: first.position, skipLines: 0 };
  }
  return undefined;
}

async function lastPosition(bus: Bus, { runId, job }: LogSelection, signal: AbortSignal): Promise<number | undefined> {
  const selection = { runId, ...(job === undefined ? {} : { job }), follow: false, from: "last" } as const;
  let last: number | undefined;
  for await (const reading of readLogEntries(bus, selection, signal)) {
    if (reading.kind === "chunk") last = reading.position;
  }
  return last;
}

async function countFrom(bus: Bus, options: LogTailOptions, position: number, signal: AbortSignal): Promise<Counted[]> {
  const counted: Counted[] = [];
  for await (const reading of readLogEntries(bus, { ...options, follow: false, from: { position } }, signal)) {
    if (reading.kind === "caught-up" || options.counts?.(reading.chunk) === false) continue;
    const { data } = plainLogChunk(reading.chunk);
    counted.push({ position: reading.position, lines: lineEnds(data), endsLine: data.at(-1) === LINE_FEED });
  }
  return counted;
}

/** The chunk in which the last lines begin; undefined when there are not that many. */
function beginOf(counted: readonly Counted[], lines: number): LogTail | undefined {
  // A line end at the very end ends the last line; else what follows the last line end is one more line.
  let wanted = counted.at(-1)?.endsLine === true ? lines + 1 : lines;
  for (const { position, lines: ends } of counted.toReversed()) {
    if (ends >= wanted) return { position, skipLines: ends - wanted + 1 };
    wanted -= ends;
  }
  return undefined;
}

function lineEnds(data: Uint8Array): number {
  let count = 0;
  for (let at = data.indexOf(LINE_FEED); at >= 0; at = data.indexOf(LINE_FEED, at + 1)) count += 1;
  return count;
}
