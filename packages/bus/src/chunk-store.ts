import { createHash } from "node:crypto";
import { KedgeError } from "@kedge/domain";
import type { Bus } from "./bus.ts";
import { directGet } from "./direct-get.ts";
import { busError, isLostRace } from "./nats-error.ts";
import { STREAMS, subjects } from "./subjects.ts";
import { whileConnected } from "./while-connected.ts";

/** Largest chunk. */
export const CHUNK_BYTES = 256 * 1024;

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

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
