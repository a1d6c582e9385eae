import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";

const pack = promisify(gzip);
const unpack = promisify(gunzip);

/** Largest body that a forge sends. */
export const MAX_HOOK_BYTES = 25 * 1024 * 1024;

/** A body as it is stored. */
export function packBody(body: Uint8Array): Promise<Uint8Array> {
  return pack(body, { level: 1 });
}

/** A stored body. @throws Error when it is damaged. */
export function unpackBody(packed: Uint8Array): Promise<Uint8Array> {
  return unpack(packed, { maxOutputLength: MAX_HOOK_BYTES + 1 });
}

/** The JSON of a body, which GitHub may send as a field of a form; undefined when there is none. */
export function jsonOf(body: Uint8Array): { readonly value: unknown } | undefined {
  const text = Buffer.from(body).toString("utf8");
  const json = text.startsWith("payload=") ? (new URLSearchParams(text).get("payload") ?? "") : text;
  try {
    return { value: JSON.parse(json) };
  } catch {
    return undefined; // whoever asked says so
  }
}
