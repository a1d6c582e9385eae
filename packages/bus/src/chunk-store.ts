import { createHash } from "node:crypto";
import { KedgeError } from "@kedge/domain";
import type { Bus } from "./bus.ts";
import { directGet } from "./direct-get.ts";
import { busError, isLostRace, isMissingMessage } from "./nats-error.ts";
import { readStream } from "./stream-reader.ts";
import { STREAMS, subjects } from "./subjects.ts";
import { whileConnected } from "./while-connected.ts";

/** Largest chunk. */
export const CHUNK_BYTES = 256 * 1024;

const CHUNK_PREFIX = "kedge.chunk.";

/** What became of a chunk. */
export interface PutChunkResult {
  /** Lower-case hex. */
  readonly sha256: string;
  /** False when it was there already. */
  readonly stored: boolean;
}

/**
 * Stores a chunk under its digest, once. For the controller.
 *
 * @throws KedgeError TOO_LARGE, BUS_UNAVAILABLE.
 */
export async function putChunk(bus: Bus, bytes: Uint8Array): Promise<PutChunkResult> {
  if (bytes.byteLength > CHUNK_BYTES) {
    throw new KedgeError("TOO_LARGE", `a chunk of ${bytes.byteLength} bytes, ${CHUNK_BYTES} are allowed`);
  }
  const sha256 = digest(bytes);
  try {
    const options = { expect: { lastSubjectSequence: 0 }, timeout: 10_000 };
    await whileConnected(bus, () => bus.jetstream.publish(subjects.chunk(sha256), bytes, options));
    return { sha256, stored: true };
  } catch (error) {
    if (isLostRace(error)) return { sha256, stored: false };
    throw busError(error, `storing chunk ${sha256}`);
  }
}

/**
 * Reads a chunk and checks its digest. For controller and agents.
 *
 * @throws KedgeError CHUNK_NOT_FOUND, DIGEST_MISMATCH, BUS_UNAVAILABLE, INVALID_FIELD for a digest that is none.
 */
export async function getChunk(bus: Bus, sha256: string): Promise<Uint8Array> {
  const stored = await directGet(bus, STREAMS.chunks, subjects.chunk(sha256));
  if (stored === undefined) throw new KedgeError("CHUNK_NOT_FOUND", `chunk ${sha256} is not stored`);
  if (digest(stored.data) === sha256) return stored.data;
  throw new KedgeError("DIGEST_MISMATCH", `chunk ${sha256} has other bytes than its digest says`);
}

/**
 * Tells whether a chunk is stored, without reading it. For the controller.
 *
 * @throws KedgeError BUS_UNAVAILABLE, INVALID_FIELD for a digest that is none.
 */
export async function hasChunk(bus: Bus, sha256: string): Promise<boolean> {
  const subject = subjects.chunk(sha256);
  try {
    const options = { subjects_filter: subject };
    const info = await whileConnected(bus, () => bus.manager.streams.info(STREAMS.chunks, options));
    return (info.state.subjects?.[subject] ?? 0) > 0;
  } catch (error) {
    throw busError(error, `looking for chunk ${sha256}`);
  }
}

/** A chunk as the store lists it. */
export interface StoredChunk {
  readonly sha256: string;
  /** In the stream: a chunk that is deleted and stored again has another one. */
  readonly sequence: number;
  readonly storedAtMs: number;
  readonly bytes: number;
}

/** All chunks that are stored when it begins, oldest first, without their bytes. Ends early when the signal aborts. */
export async function* listChunks(bus: Bus, signal: AbortSignal): AsyncGenerator<StoredChunk> {
  const filter = `${CHUNK_PREFIX}*`;
  const options = { stream: STREAMS.chunks, filter, from: "all", follow: false, headersOnly: true } as const;
  for await (const reading of readStream(bus, options, signal)) {
    if (reading.kind === "caught-up") return;
    const { message } = reading;
    yield {
      sha256: message.subject.slice(CHUNK_PREFIX.length),
      sequence: message.seq,
      storedAtMs: message.info.timestampNanos / 1e6,
      bytes: Number(message.headers?.get("Nats-Msg-Size") ?? 0),
    };
  }
}

/**
 * Removes a chunk for good. One that is gone stays so, and one that was stored again meanwhile is not touched.
 *
 * @throws KedgeError BUS_UNAVAILABLE.
 */
export async function deleteChunk(
  bus: Bus,
  { sha256, sequence }: Pick<StoredChunk, "sha256" | "sequence">,
): Promise<void> {
  try {
    await whileConnected(bus, () => bus.manager.streams.deleteMessage(STREAMS.chunks, sequence, false));
  } catch (error) {
    if (isMissingMessage(error)) return;
    throw busError(error, `deleting chunk ${sha256}`);
  }
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
