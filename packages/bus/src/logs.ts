import { toBinary } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type LogChunk, LogChunkSchema, type TaskRefFull } from "@kedge/proto";
import type { Bus } from "./bus.ts";
import { decodeOwn } from "./node-messages.ts";
import { plainLogChunk } from "./plain-chunk.ts";
import { publishOnce } from "./publish.ts";
import { type ReadOptions, readStream } from "./stream-reader.ts";
import { type NodeSubject, STREAMS, subjects, subjectToken } from "./subjects.ts";

/** Whose logs. */
export interface LogSelection {
  readonly runId: string;
  /** Default: all jobs of the run. */
  readonly job?: string;
  /**
   * Says whether a task is really one of the run's. Any node can log under any run's name, but only as itself: compare
   * the ref's node and task with the run document. Default: all are.
   */
  readonly accept?: (ref: TaskRefFull) => boolean;
}

/** Which logs are read. */
export interface ReadLogsOptions extends LogSelection {
  /** Go on with new chunks after the stored ones. */
  readonly follow: boolean;
  /** Where to begin: a position, or what was stored at a time (milliseconds since 1970) or later. Default: at the beginning. */
  readonly from?: { readonly position: number } | { readonly sinceMs: number } | "last";
}

/** A chunk as it is stored and its position, which grows with every chunk, of all runs; or the note that history has been read. */
export type LogReading =
  | { readonly kind: "chunk"; readonly chunk: LogChunk; readonly position: number }
  | { readonly kind: "caught-up" };

/** Most chunks of one bus on their way at once. */
const MAX_IN_FLIGHT = 32;

const inFlight = new WeakMap<Bus, { count: number; readonly waiting: (() => void)[] }>();

/**
 * Stores a log chunk; resolves when it is on disk. Up to 32 may be under way; further calls wait their turn, in order. It
 * is tried once: repeating it here would put it behind later ones. Whoever publishes sends all from it on again, and
 * readers order by `sequence`.
 *
 * @throws KedgeError BUS_UNAVAILABLE, TOO_LARGE.
 */
export async function publishLog(bus: Bus, chunk: LogChunk): Promise<void> {
  const { ref } = chunk;
  if (ref === undefined) throw new KedgeError("INVALID_FIELD", "a log chunk needs a ref", { field: "ref" });
  const slots = inFlight.get(bus) ?? { count: 0, waiting: [] };
  inFlight.set(bus, slots);
  if (slots.count >= MAX_IN_FLIGHT) await new Promise<void>((resolve) => slots.waiting.push(resolve));
  else slots.count += 1;
  try {
    const subject = subjects.logs(ref.nodeId, ref.runId, ref.job);
    await publishOnce(bus, subject, toBinary(LogChunkSchema, chunk), { attempts: 1 });
  } finally {
    const next = slots.waiting.shift();
    if (next === undefined) slots.count -= 1;
    else next();
  }
}

/**
 * The logs of a run in the order they were stored, history first; a few MiB are in memory. Ends after the history, or with
 * `follow` when the signal aborts.
 */
export async function* readLogEntries(
  bus: Bus,
  options: ReadLogsOptions,
  signal: AbortSignal,
): AsyncGenerator<LogReading> {
  const isOwn = ownCheck(options);
  const where = { filter: logFilter(options), from: startOf(options.from), follow: options.follow };
  for await (const step of readStream(bus, { stream: STREAMS.logs, ...where, large: true }, signal)) {
    if (step.kind === "caught-up") yield step;
    else {
      const chunk = decodeOwn(step.message, { schema: LogChunkSchema, isOwn });
      if (chunk === undefined) bus.logger.debug({ subject: step.message.subject }, "skipped a foreign log chunk");
      else yield { kind: "chunk", chunk, position: step.message.seq };
    }
  }
}

/** The chunks alone, not compressed. */
export async function* readLogs(bus: Bus, options: ReadLogsOptions, signal: AbortSignal): AsyncGenerator<LogChunk> {
  for await (const reading of readLogEntries(bus, options, signal)) {
    if (reading.kind === "chunk") yield plainLogChunk(reading.chunk);
  }
}

function logFilter({ runId, job }: LogSelection): string {
  return `kedge.node.*.log.${subjectToken(runId, "run")}.${job === undefined ? "*" : subjectToken(job, "job")}`;
}

function ownCheck({ accept = () => true }: LogSelection): (chunk: LogChunk, sender: NodeSubject) => boolean {
  return ({ ref }, { nodeId, rest }) =>
    ref !== undefined && ref.nodeId === nodeId && ref.runId === rest[0] && ref.job === rest[1] && accept(ref);
}

function startOf(from: ReadLogsOptions["from"]): ReadOptions["from"] {
  if (from === undefined) return "all";
  return typeof from === "object" && "position" in from ? { sequence: Math.max(1, from.position) } : from;
}
