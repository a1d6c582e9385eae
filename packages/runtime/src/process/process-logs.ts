import { type FileHandle, open } from "node:fs/promises";
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
  await using files = await openFiles(source.folder);
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

interface OutputFiles extends AsyncDisposable {
  readonly stdout: FileHandle;
  readonly stderr: FileHandle;
}

async function openFiles(folder: string): Promise<OutputFiles> {
  const stdout = await open(join(folder, "stdout"));
  const stderr = await open(join(folder, "stderr"));
  return {
    stdout,
    stderr,
    [Symbol.asyncDispose]: async () => {
      await stdout.close();
      await stderr.close();
    },
  };
}

async function* readToEnd(
  files: OutputFiles,
  stream: LogChunk["stream"],
  position: { -readonly [K in keyof LogOffset]: LogOffset[K] },
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  for (;;) {
    signal.throwIfAborted();
    const buffer = new Uint8Array(CHUNK_BYTES);
    const { bytesRead } = await files[stream].read(buffer, 0, CHUNK_BYTES, position[stream]);
    if (bytesRead === 0) return;
    position[stream] += bytesRead;
    yield { stream, data: buffer.subarray(0, bytesRead), offset: { ...position } };
  }
}
