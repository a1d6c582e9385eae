import type { Msg, MsgHdrs } from "@nats-io/nats-core";
import type { Bus } from "./bus.ts";
import { busError } from "./nats-error.ts";
import { whileConnected } from "./while-connected.ts";

/** A stored message as direct get returns it. */
export interface Stored {
  /** Sequence in the stream; for a KV bucket the revision. */
  readonly revision: number;
  readonly data: Uint8Array;
  /** True for the marker that a delete leaves in a KV bucket. */
  readonly deleted: boolean;
}

const TIMEOUT_MS = 5_000;

/**
 * The newest message on a subject; undefined when there is none. Any replica of the stream answers, so right after a
 * write the answer may be the value before it.
 *
 * @throws KedgeError BUS_UNAVAILABLE.
 */
export async function directGet(bus: Bus, stream: string, subject: string): Promise<Stored | undefined> {
  try {
    const request = `${bus.apiPrefix}.DIRECT.GET.${stream}.${subject}`;
    const answer = await whileConnected(bus, () => bus.connection.request(request, "", { timeout: TIMEOUT_MS }));
    return storedFrom(answer);
  } catch (error) {
    throw busError(error, `reading ${subject}`);
  }
}

function storedFrom(message: Msg): Stored | undefined {
  if (message.headers?.code === 404) return undefined;
  const revision = Number(message.headers?.get("Nats-Sequence"));
  if (!Number.isInteger(revision) || revision <= 0) {
    throw new TypeError(`unexpected answer to a direct get: ${message.headers?.status ?? "no headers"}`);
  }
  return { revision, data: message.data, deleted: isDeleteMarker(message) };
}

/** Tells whether a KV message says that its key was deleted. */
export function isDeleteMarker(message: { readonly headers?: MsgHdrs | undefined }): boolean {
  const operation = message.headers?.get("KV-Operation") ?? "";
  return operation === "DEL" || operation === "PURGE";
}
