import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock, Logger } from "@kedge/kernel";
import { type LogChunk, LogChunkSchema, LogStream, type TaskRefFull } from "@kedge/proto";
import { readFileIfPresent, writeFileAtomicSync } from "../state/atomic-file.ts";
import { untilDone } from "./until-done.ts";

/** Most bytes in one chunk. */
export const MAX_CHUNK_BYTES = 64 * 1024;
const MAX_PENDING_BYTES = 256 * 1024;
const BATCH_MS = 20;

/** How far a task's log was published. */
export interface LogPosition {
  /** Sequence number of the last chunk; 0 before the first. */
  readonly sequence: bigint;
  /** Opaque positions in the logs of workloads after that chunk. */
  readonly cursors: Readonly<Record<string, string>>;
}

/** A piece of output, and where reading goes on after it. */
export interface LogPiece {
  readonly step: string;
  readonly stream: LogStream;
  readonly data: Uint8Array;
  readonly workload?: string;
  readonly cursor?: string;
}

/** What a LogPublisher works with. */
export interface LogPublisherOptions {
  readonly ref: TaskRefFull;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stores one chunk; storing the same sequence twice must have no effect. */
  readonly publish: (chunk: LogChunk) => Promise<void>;
  /** File that holds the chunk being published. */
  readonly journal: string;
  /** Aborts when nobody may hear of this task any more. */
  readonly signal: AbortSignal;
}

interface Pending {
  piece: LogPiece;
  bytes: Uint8Array[];
  size: number;
}

/**
 * Publishes a task's output in numbered chunks of at most 64 KiB, batched for 20 ms. Every chunk is written to a
 * journal before it is sent; a restarted agent sends exactly the journaled chunk again and reads on from its cursor,
 * so there are neither gaps nor repetitions. Writers wait while more than 256 KiB are pending.
 */
export class LogPublisher {
  readonly #options: LogPublisherOptions;
  #queue: Pending[] = [];
  #pendingBytes = 0;
  #position: LogPosition = { sequence: 0n, cursors: {} };
  #pump: Promise<void> | undefined;
  #closing = new AbortController();
  #roomWaiters: (() => void)[] = [];

  constructor(options: LogPublisherOptions) {
    this.#options = options;
  }

  /** Reads the journal of an earlier process and sends its chunk again. Call before the first write. */
  async resume(): Promise<LogPosition> {
    const bytes = await readFileIfPresent(this.#options.journal);
    if (bytes === undefined) return this.#position;
    const [header = "", body = ""] = bytes.toString("utf8").split("\n");
    const chunk = fromBinary(LogChunkSchema, Buffer.from(body, "base64"));
    // Written by this program, into a folder that only it may write.
    this.#position = { sequence: chunk.sequence, cursors: JSON.parse(header) };
    await this.#send(chunk);
    return this.#position;
  }

  /** Takes a piece of output; waits while too much is pending. */
  async write(piece: LogPiece): Promise<void> {
    while (this.#pendingBytes >= MAX_PENDING_BYTES && !this.#options.signal.aborted) {
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
    }
    for (let at = 0; at < piece.data.length; at += MAX_CHUNK_BYTES) this.#append(piece, at);
    this.#pump ??= this.#run().finally(() => {
      this.#pump = undefined;
    });
  }

  /** Drops the position in the log of a workload that is known to have ended. */
  forget(workload: string): void {
    const { [workload]: _, ...cursors } = this.#position.cursors;
    this.#position = { ...this.#position, cursors };
  }

  /** A line from the agent itself. */
  async note(step: string, line: string): Promise<void> {
    await this.write({ step, stream: LogStream.SYSTEM, data: Buffer.from(`${line}\n`) });
  }

  /** Resolves when everything written so far is stored, or the task's signal has aborted. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#pump;
    this.#closing = new AbortController();
  }

  #append(piece: LogPiece, at: number): void {
    const data = piece.data.subarray(at, at + MAX_CHUNK_BYTES);
    const whole = at + data.length === piece.data.length;
    // The cursor counts only with the last part of its piece.
    const part = whole ? piece : { step: piece.step, stream: piece.stream, data };
    const last = this.#queue.at(-1);
    this.#pendingBytes += data.length;
    if (last !== undefined && isSame(last.piece, piece) && last.size + data.length <= MAX_CHUNK_BYTES) {
      last.bytes.push(data);
      last.size += data.length;
      if (whole) last.piece = part;
    } else {
      this.#queue.push({ piece: part, bytes: [data], size: data.length });
    }
  }

  async #run(): Promise<void> {
    const { clock, signal } = this.#options;
    while (this.#queue.length > 0 && !signal.aborted) {
      if (this.#pendingBytes < MAX_CHUNK_BYTES) await clock.sleep(BATCH_MS, this.#closing.signal).catch(() => {});
      const next = this.#queue.shift();
      if (next !== undefined) await this.#publish(next);
    }
    if (signal.aborted) this.#queue = [];
    this.#makeRoom();
  }

  async #publish(pending: Pending): Promise<void> {
    const { ref, clock, journal } = this.#options;
    const { piece } = pending;
    const sequence = this.#position.sequence + 1n;
    const data = Buffer.concat(pending.bytes);
    const at = timestampFromMs(clock.now());
    const chunk = create(LogChunkSchema, { ref, sequence, step: piece.step, stream: piece.stream, at, data });
    const body = Buffer.from(toBinary(LogChunkSchema, chunk)).toString("base64");
    const { workload, cursor } = piece;
    const own = workload === undefined || cursor === undefined ? {} : { [workload]: cursor };
    const cursors = { ...this.#position.cursors, ...own };
    writeFileAtomicSync(journal, `${JSON.stringify(cursors)}\n${body}`);
    this.#position = { sequence, cursors };
    await this.#send(chunk);
    this.#pendingBytes -= pending.size;
    this.#makeRoom();
  }

  async #send(chunk: LogChunk): Promise<void> {
    const { clock, logger, publish, signal } = this.#options;
    await untilDone(() => publish(chunk), { clock, logger, signal, what: "log chunk" });
  }

  #makeRoom(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const wake of waiters) wake();
  }
}

function isSame(a: LogPiece, b: LogPiece): boolean {
  return a.step === b.step && a.stream === b.stream && a.workload === b.workload;
}
