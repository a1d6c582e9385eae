import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Clock, compressZstd, type Logger } from "@kedge/kernel";
import { type LogChunk, LogChunkSchema, LogCompression, LogStream, type TaskRefFull } from "@kedge/proto";
import type { LogOffset } from "@kedge/runtime";
import { LogMasks } from "../logs/log-masks.ts";
import { LogQueue, type QueuedPiece } from "../logs/log-queue.ts";
import { LogSender } from "../logs/log-sender.ts";
import { LogSpool, type LogState, NO_LOG, type SpooledChunk } from "../logs/log-spool.ts";

/** A piece of output, and where reading goes on after it. */
export interface LogPiece {
  readonly step: string;
  readonly stream: LogStream;
  readonly data: Uint8Array;
  /** Id of the workload that wrote it, and how much of its output was read with this piece. */
  readonly workload?: string;
  readonly offset?: LogOffset;
}

/** What a LogPublisher works with. */
export interface LogPublisherOptions {
  readonly ref: TaskRefFull;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stores one chunk; storing the same sequence twice must have no effect. Called many times at once, in order. */
  readonly publish: (chunk: LogChunk) => Promise<void>;
  /** File that holds the chunks that are on their way. */
  readonly spool: string;
  /** The task's workspace, where its steps name secrets. */
  readonly workspace: string;
  /** Most bytes of output that are kept; default 1 GiB. */
  readonly limitBytes?: number | undefined;
  /** Aborts when nobody may hear of this task any more. */
  readonly signal: AbortSignal;
}

/** Most bytes of output of one task that are kept. */
export const DEFAULT_LOG_LIMIT = 1024 ** 3;

const BATCH_MS = 20;
const MIN_COMPRESSED_BYTES = 1024;

/**
 * Publishes a task's output, its secrets masked, in numbered chunks of at most 512 KiB, batched for 20 ms. Every chunk is
 * in a file before it is sent; a restarted agent sends exactly the chunks again that are not known to be stored, and reads
 * on behind the last one, so there are neither gaps nor repetitions. What was held back because a secret may have begun
 * in it is read again. Writers wait while more than 2 MiB wait to be sent and 4 MiB to be stored.
 */
export class LogPublisher {
  readonly #options: LogPublisherOptions;
  readonly #spool: LogSpool;
  readonly #sender: LogSender;
  readonly #masks: LogMasks;
  readonly #queue = new LogQueue();
  readonly #limit: number;
  #state: LogState = NO_LOG;
  /** Bytes of output that were taken. */
  #taken = 0;
  #isLimitTold = false;
  /** How much of a workload's output was read, held back or not. */
  readonly #lastRead = new Map<string, LogOffset>();
  #pump: Promise<void> | undefined;
  #isClosing = false;
  #hurry = (): void => {};

  constructor(options: LogPublisherOptions) {
    const { clock, logger, signal, workspace } = options;
    this.#options = options;
    this.#limit = options.limitBytes ?? DEFAULT_LOG_LIMIT;
    this.#spool = new LogSpool(options.spool);
    this.#masks = new LogMasks(workspace);
    const publish = (chunk: SpooledChunk): Promise<void> => options.publish(this.#message(chunk));
    const onStored = (sequence: number): void => this.#spool.acknowledge(sequence);
    this.#sender = new LogSender({ publish, onStored, clock, logger, signal });
  }

  /** Goes on where an earlier process stopped: its chunks are sent again. Call before the first write. */
  resume(): void {
    const found = this.#spool.read();
    if (found === undefined) return;
    this.#state = found.state;
    this.#taken = found.state.bytes;
    for (const chunk of found.chunks) this.#sender.add(chunk);
  }

  /** Where reading a workload's output goes on; undefined: at its beginning. */
  offsetOf(workload: string): LogOffset | undefined {
    return this.#state.offsets[workload];
  }

  /** Masks values from now on, and says in the log which are too short for that. */
  async mask(secrets: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const unmasked = this.#masks.add(secrets);
    if (unmasked.length === 0 || this.#state.sequence > 0) return;
    await this.note("", `too short to be masked in this log: ${unmasked.join(", ")}`);
  }

  /** A text of the task's that goes another way than the log, masked. */
  masked(text: string): string {
    return this.#masks.text(text);
  }

  /** Takes a piece of output; waits while too much is pending. */
  async write(piece: LogPiece): Promise<void> {
    const { signal } = this.#options;
    await this.#queue.room(signal);
    this.#enqueue(piece, this.#masks.push(streamOf(piece), piece.data));
  }

  /** A line from the agent itself. */
  async note(step: string, line: string): Promise<void> {
    await this.#queue.room(this.#options.signal);
    const data = Buffer.from(`${this.#masks.text(line)}\n`);
    this.#enqueue({ step, stream: LogStream.SYSTEM, data }, data);
  }

  /** Says that a step, or a workload, has written everything: what was held back can be told. */
  finish(step: string, end?: { readonly workload: string }): void {
    for (const stream of [LogStream.STDOUT, LogStream.STDERR]) {
      const piece = { step, stream, data: new Uint8Array(0), ...end };
      if (this.#masks.held(streamOf(piece)) === 0) continue;
      const offset = end === undefined ? undefined : this.#lastRead.get(end.workload);
      const data = this.#masks.flush(streamOf(piece));
      this.#enqueue(offset === undefined ? piece : { ...piece, offset }, data);
    }
  }

  /** Drops the position in the log of a workload that is known to have ended. */
  forget(workload: string): void {
    const { [workload]: _, ...offsets } = this.#state.offsets;
    this.#state = { ...this.#state, offsets };
    this.#lastRead.delete(workload);
  }

  /** Resolves when everything written so far is stored, or the task's signal has aborted. May be called again. */
  async close(): Promise<void> {
    // What is queued by now; a service may go on writing all the time.
    const last = this.#state.sequence + this.#queue.length;
    this.#isClosing = true;
    this.#hurry();
    await this.#sender.until(() => this.#state.sequence >= last && this.#sender.hasStored(last));
    this.#isClosing = false;
    if (this.#queue.length === 0 && this.#pump === undefined) this.#spool.close();
  }

  #enqueue(piece: LogPiece, masked: Uint8Array): void {
    const data = this.#admit(piece.stream, masked);
    const { step, stream, workload, offset } = piece;
    if (workload !== undefined && offset !== undefined) this.#lastRead.set(workload, offset);
    const told = offset === undefined || workload === undefined ? undefined : this.#told(workload, offset);
    this.#queue.add({ step, stream, data, workload, offset: told, tellsLimit: false });
    if (this.#taken >= this.#limit) this.#tellLimit(step);
    if (this.#queue.isFull) this.#hurry();
    this.#pump ??= this.#run().finally(() => {
      this.#pump = undefined;
    });
  }

  /** How much of a workload's output is in chunks when this piece is. */
  #told(workload: string, { stdout, stderr }: LogOffset): LogOffset {
    const held = (stream: LogStream): number => this.#masks.held(streamOf({ step: "", stream, workload }));
    return { stdout: stdout - held(LogStream.STDOUT), stderr: stderr - held(LogStream.STDERR) };
  }

  /** What of a piece is within the limit. The agent's own lines always are. */
  #admit(stream: LogStream, data: Uint8Array): Uint8Array {
    if (stream === LogStream.SYSTEM) return data;
    const admitted = data.subarray(0, Math.max(0, this.#limit - this.#taken));
    this.#taken += data.length;
    return admitted;
  }

  #tellLimit(step: string): void {
    if (this.#isLimitTold || this.#state.isLimited) return;
    this.#isLimitTold = true;
    const data = Buffer.from(
      `the log has reached its limit of ${this.#limit} bytes; the rest of the output is dropped\n`,
    );
    const nowhere = { workload: undefined, offset: undefined };
    this.#queue.add({ step, stream: LogStream.SYSTEM, data, ...nowhere, tellsLimit: true });
  }

  async #run(): Promise<void> {
    const { signal } = this.#options;
    while (this.#queue.length > 0 && !signal.aborted) {
      // The first of several cannot grow any more.
      if (this.#queue.length === 1 && !this.#queue.isFull && !this.#isClosing) await this.#batch();
      const next = this.#queue.take();
      if (next !== undefined) this.#publish(next);
      await this.#sender.room();
    }
    if (signal.aborted) this.#queue.clear();
  }

  /** Waits for more to go into the chunk: 20 ms, until there is enough, or the log is closed. */
  #batch(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(BATCH_MS, resolve);
      this.#hurry = () => {
        cancel();
        resolve();
      };
    });
  }

  #publish({ step, stream, data, workload, offset, tellsLimit }: QueuedPiece): void {
    const { sequence, bytes, isLimited, offsets } = this.#state;
    this.#state = {
      sequence: sequence + 1,
      bytes: stream === LogStream.SYSTEM ? bytes : bytes + data.length,
      isLimited: isLimited || tellsLimit,
      offsets: workload === undefined || offset === undefined ? offsets : { ...offsets, [workload]: offset },
    };
    const chunk = { state: this.#state, step, stream, atMs: this.#options.clock.now(), ...packed(data) };
    this.#spool.append(chunk, this.#sender.waiting);
    this.#sender.add(chunk);
  }

  #message({ state, step, stream, atMs, compression, data }: SpooledChunk): LogChunk {
    const { ref } = this.#options;
    const sequence = BigInt(state.sequence);
    return create(LogChunkSchema, { ref, sequence, step, stream, at: timestampFromMs(atMs), compression, data });
  }
}

/** Large chunks are compressed: everything behind the agent then handles and keeps several times less. */
function packed(data: Uint8Array): { readonly compression: LogCompression; readonly data: Uint8Array } {
  const frame = data.length < MIN_COMPRESSED_BYTES ? undefined : compressZstd(data);
  if (frame === undefined) return { compression: LogCompression.UNSPECIFIED, data };
  return { compression: LogCompression.ZSTD, data: frame };
}

/** Output is masked by stream: secrets are whole in each. */
function streamOf({ step, stream, workload }: Pick<LogPiece, "step" | "stream" | "workload">): string {
  return JSON.stringify(workload === undefined ? [stream, step] : [stream, workload, ""]);
}
