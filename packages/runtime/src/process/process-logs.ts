import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "@kedge/kernel";
import type { LogChunk, LogOffset, LogOptions } from "../runtime.ts";
import { FolderChanges } from "./folder-changes.ts";

const CHUNK_BYTES = 64 * 1024;
/** Only bounds the wait where the file system reports no changes. */
const POLL_MS = 250;
const STREAMS = ["stdout", "stderr"] as const;

/** A workload's folder, and how to ask whether it has ended. */
export interface LogSource {
  readonly folder: string;
  readonly clock: Clock;
  readonly hasEnded: () => Promise<boolean>;
}

/** Reads both output files to their end, then as they grow, until the workload has ended. Holds one chunk at a time. */
export async function* followFiles(source: LogSource, options: LogOptions): AsyncGenerator<LogChunk> {
  using changes = new FolderChanges(source.folder, source.clock);
  using files = openFiles(source.folder);
  const position = { stdout: 0, stderr: 0, ...options.fromOffset };
  for (;;) {
    options.signal.throwIfAborted();
    // Asked before reading: what is read after an end is complete.
    const ended = await source.hasEnded();
    for (const stream of STREAMS) yield* readToEnd(files, stream, position, options.signal);
    if (ended) return;
    await changes.next(POLL_MS, options.signal);
  }
}

interface OutputFiles extends Disposable {
  readonly stdout: number;
  readonly stderr: number;
  /** Read into, then copied from: what is handed on belongs to the reader. */
  readonly buffer: Buffer;
}

/** Synchronous, like every read below: the page cache answers faster than the thread pool wakes up. */
function openFiles(folder: string): OutputFiles {
  const stdout = openSync(join(folder, "stdout"), "r");
  const stderr = openSync(join(folder, "stderr"), "r");
  return {
    stdout,
    stderr,
    buffer: Buffer.allocUnsafeSlow(CHUNK_BYTES),
    [Symbol.dispose]: () => {
      closeSync(stdout);
      closeSync(stderr);
    },
  };
}

function* readToEnd(
  files: OutputFiles,
  stream: LogChunk["stream"],
  position: { -readonly [K in keyof LogOffset]: LogOffset[K] },
  signal: AbortSignal,
): Generator<LogChunk> {
  for (;;) {
    signal.throwIfAborted();
    const bytesRead = readSync(files[stream], files.buffer, 0, CHUNK_BYTES, position[stream]);
    if (bytesRead === 0) return;
    position[stream] += bytesRead;
    yield { stream, data: Uint8Array.from(files.buffer.subarray(0, bytesRead)), offset: { ...position } };
  }
}
