import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import { KedgeError } from "@kedge/domain";

const DECODERS = new Map([
  ["gzip", promisify(gunzip)],
  ["deflate", promisify(inflate)],
]);

/**
 * The body with its content encoding undone; never more than `limit` bytes, however well it was compressed.
 *
 * @throws KedgeError TOO_LARGE, or INVALID_FIELD for another encoding or broken data.
 */
export async function decodeBody(body: Buffer, encoding: string | undefined, limit: number): Promise<Buffer> {
  const decoder = DECODERS.get(encoding ?? "");
  if (decoder === undefined) {
    if (encoding !== undefined && encoding !== "identity") {
      throw new KedgeError("INVALID_FIELD", "Content-Encoding: expected gzip, deflate or identity");
    }
    if (body.length > limit) throw tooLarge(limit);
    return body;
  }
  try {
    return await decoder(body, { maxOutputLength: limit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(limit);
    throw new KedgeError("INVALID_FIELD", `the request body is not valid ${encoding} data`, { cause: error });
  }
}

function tooLarge(limit: number): KedgeError {
  return new KedgeError("TOO_LARGE", `the request body is larger than ${limit} bytes`);
}

/** The number in `Inference-Header-Content-Length`. Throws KedgeError INVALID_FIELD when it is none. */
export function headerLength(value: string | string[] | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && /^\d{1,15}$/.test(value)) return Number(value);
  throw new KedgeError("INVALID_FIELD", "Inference-Header-Content-Length: expected a number of bytes");
}
