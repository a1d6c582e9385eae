import { toBinary } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type LogChunk, LogChunkSchema, type TaskRefFull } from "@kedge/proto";
import type { Bus } from "./bus.ts";
import { decodeOwn } from "./node-messages.ts";
import { publishOnce } from "./publish.ts";
import { readStream } from "./stream-reader.ts";
import { type NodeSubject, STREAMS, subjects, subjectToken } from "./subjects.ts";

/** Which logs are read. */
export interface ReadLogsOptions {
  readonly runId: string;
  /** Default: all jobs of the run. */
  readonly job?: string;
  /** Go on with new chunks after the stored ones. */
  readonly follow: boolean;
  /**
   * Says whether a task is really one of the run's. Any node can log under any run's name, but only as itself: compare
   * the ref's node and task with the run document. Default: all are.
   */
  readonly accept?: (ref: TaskRefFull) => boolean;
}

/** Most chunks of one bus on their way at once. */
const MAX_IN_FLIGHT = 32;

const inFlight = new WeakMap<Bus, { count: number; readonly waiting: (() => void)[] }>();

/**
 * Stores a log chunk; resolves when it is on disk. Up to 32 may be under way; further calls wait their turn, in order.
 * A chunk that had to be retried may be stored behind later ones: readers order by `sequence`.
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
    await publishOnce(bus, subjects.logs(ref.nodeId, ref.runId, ref.job), toBinary(LogChunkSchema, chunk));
  } finally {
    const next = slots.waiting.shift();
    if (next === undefined) slots.count -= 1;
    else next();
  }
}

/**
 * The log of a run in the order it was stored, history first; at most one batch is in memory. Ends after the history,
 * or with `follow` when the signal aborts.
 */
export async function* readLogs(bus: Bus, options: ReadLogsOptions, signal: AbortSignal): AsyncGenerator<LogChunk> {
  const run = subjectToken(options.runId, "run");
  const job = options.job === undefined ? "*" : subjectToken(options.job, "job");
  const filter = `kedge.node.*.log.${run}.${job}`;
  const accept = options.accept ?? (() => true);
  const isOwn = ({ ref }: LogChunk, { nodeId, rest }: NodeSubject): boolean =>
    ref !== undefined && ref.nodeId === nodeId && ref.runId === rest[0] && ref.job === rest[1] && accept(ref);
  const reading = readStream(bus, { stream: STREAMS.logs, filter, from: "all", follow: options.follow }, signal);
  for await (const step of reading) {
    if (step.kind === "caught-up") continue;
    const chunk = decodeOwn(step.message, { schema: LogChunkSchema, isOwn });
    if (chunk === undefined) bus.logger.debug({ subject: step.message.subject }, "skipped a foreign log chunk");
    else yield chunk;
  }
}
