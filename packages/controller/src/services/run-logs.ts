import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Bus, findLogTail, type LogTail, plainLogChunk, readLogEntries } from "@kedge/bus";
import { isRunEnded } from "@kedge/domain";
import {
  type LogChunk,
  LogChunkSchema,
  LogSearchSummarySchema,
  type Run,
  RunState,
  type StreamLogsRequest,
  type StreamLogsResponseSchema,
  type TaskRefFull,
} from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { LogOrder, type PlacedChunk } from "./logs/log-order.ts";
import { assertLogsRequest, sinceOf, wantedChunks } from "./logs/log-request.ts";
import { LogSearch, streamKey } from "./logs/log-search.ts";

/** Whose logs, and what of them. */
export interface RunLogsOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly run: Run;
  readonly request: StreamLogsRequest;
}

type Answer = MessageInitShape<typeof StreamLogsResponseSchema>;

/**
 * The logs of a run, oldest first. Following ends with the run: what is stored by then is read once more, so that the
 * last lines are never missed. Chunks count only from nodes that held the task they name.
 *
 * @throws KedgeError INVALID_FIELD for a request that contradicts itself.
 */
export function streamRunLogs(options: RunLogsOptions, signal: AbortSignal): AsyncGenerator<Answer> {
  assertLogsRequest(options.request);
  const chunks = wanted(options, signal);
  return options.request.search === "" ? answers(options.request, chunks) : searched(options.request, chunks);
}

interface Found extends PlacedChunk {
  /** Where to go on behind it. */
  readonly next: number;
}

async function* answers({ compressed }: StreamLogsRequest, chunks: AsyncIterable<Found>): AsyncGenerator<Answer> {
  for await (const { chunk, next } of chunks) {
    yield { job: chunk.ref?.job ?? "", chunk: compressed ? chunk : plainLogChunk(chunk), position: BigInt(next) };
  }
}

async function* searched(
  { search: text, context }: StreamLogsRequest,
  chunks: AsyncIterable<Found>,
): AsyncGenerator<Answer> {
  const search = new LogSearch({ text, context });
  const last = new Map<string, LogChunk>();
  for await (const { chunk, next } of chunks) {
    const job = chunk.ref?.job ?? "";
    last.set(streamKey(chunk), create(LogChunkSchema, { ...chunk, data: new Uint8Array(0) }));
    for (const excerpt of search.push(plainLogChunk(chunk))) yield { job, excerpt, position: BigInt(next) };
  }
  const jobs = new Map([...last.values()].map(({ ref }) => [ref?.taskId, ref?.job ?? ""]));
  for (const excerpt of search.finish(last)) yield { job: jobs.get(excerpt.taskId) ?? "", excerpt };
  yield { summary: create(LogSearchSummarySchema, search.counts) };
}

/** The chunks that are asked for, in order. */
async function* wanted(options: RunLogsOptions, signal: AbortSignal): AsyncGenerator<Found> {
  const { request, run } = options;
  const isWanted = wantedChunks(request, run);
  const tails = request.tail > 0 && request.position === 0n ? await tailsOf(options, isWanted, signal) : undefined;
  const order = new LogOrder(request.after);
  let position = 0;
  for await (const placed of stored(options, beginOf(request, tails), signal)) {
    ({ position } = placed);
    const tail = tails?.get(placed.chunk.ref?.job ?? "");
    if (tail !== undefined && position < tail.position) continue;
    const next = order.take(
      position === tail?.position ? { ...placed, chunk: cut(plainLogChunk(placed.chunk), tail.skipLines) } : placed,
    );
    for (const { chunk } of next) if (isWanted(chunk)) yield { chunk, position, next: order.safePosition(position) };
  }
  for (const { chunk } of order.rest()) if (isWanted(chunk)) yield { chunk, position, next: position };
}

function beginOf(request: StreamLogsRequest, tails: ReadonlyMap<string, LogTail> | undefined): Begin {
  if (request.position > 0n) return { position: Number(request.position) + 1 };
  const sinceMs = sinceOf(request);
  if (tails === undefined) return sinceMs === undefined ? { position: 1 } : { sinceMs };
  const positions = [...tails.values()].map(({ position }) => position);
  // Without any line nothing is left out by beginning at the beginning.
  return { position: positions.length === 0 ? 1 : Math.min(...positions) };
}

type Begin = { readonly position: number } | { readonly sinceMs: number };

/** All chunks of the run's nodes, as they were stored; with `follow` until the run has ended and all of it was read. */
async function* stored(options: RunLogsOptions, from: Begin, signal: AbortSignal): AsyncGenerator<PlacedChunk> {
  const { bus, request, run, stores } = options;
  const selection = selectionOf(options);
  let begin = from;
  const ended = new AbortController();
  const check = (key: string): void => {
    if (key === run.id && isRunEnded(stores.runs.get(run.id)?.value.state ?? RunState.CANCELLED)) ended.abort();
  };
  const unsubscribe = stores.runs.onChange(check);
  check(run.id);
  try {
    const until = AbortSignal.any([signal, ended.signal]);
    for (const follow of request.follow ? [true, false] : [false]) {
      if (follow && until.aborted) continue;
      for await (const reading of readLogEntries(bus, { ...selection, follow, from: begin }, follow ? until : signal)) {
        if (reading.kind === "caught-up") continue;
        begin = { position: reading.position + 1 };
        yield reading;
      }
      if (signal.aborted) return;
    }
  } finally {
    unsubscribe();
  }
}

async function tailsOf(
  options: RunLogsOptions,
  counts: (chunk: LogChunk) => boolean,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, LogTail>> {
  const { bus, request, run } = options;
  const jobs = request.job === "" ? run.jobs.map(({ spec }) => spec?.name ?? "") : [request.job];
  const tails = new Map<string, LogTail>();
  for (const job of jobs) {
    const tail = await findLogTail(bus, { ...selectionOf(options), job, lines: request.tail, counts }, signal);
    if (tail !== undefined) tails.set(job, tail);
  }
  return tails;
}

function selectionOf({ stores, run, request }: RunLogsOptions) {
  const known = new Set<string>();
  const accept = (ref: TaskRefFull): boolean => {
    const key = `${ref.nodeId} ${ref.taskId}`;
    if (!known.has(key) && isTaskOf(stores, ref)) known.add(key);
    return known.has(key);
  };
  return { runId: run.id, accept, ...(request.job === "" ? {} : { job: request.job }) };
}

/** The chunk without its first lines. */
function cut(chunk: LogChunk, lines: number): LogChunk {
  let start = 0;
  for (let line = 0; line < lines; line += 1) start = chunk.data.indexOf(10, start) + 1;
  return start === 0 ? chunk : create(LogChunkSchema, { ...chunk, data: chunk.data.subarray(start) });
}

function isTaskOf(stores: Stores, ref: TaskRefFull): boolean {
  const job = stores.runs.get(ref.runId)?.value.jobs.find((candidate) => candidate.spec?.name === ref.job);
  return job?.tasks.some((task) => task.id === ref.taskId && task.nodeId === ref.nodeId) ?? false;
}
