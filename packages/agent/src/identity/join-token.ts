import { KedgeError } from "@kedge/domain";

/** What a join token carries. */
export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  /** host:port of the controller's gRPC service. */
  readonly address: string;
  /** SHA-256 of the CA certificate, as the controller prints it. */
  readonly caFingerprint: string;
}

const PREFIX = "kedge-join.";
const MAX_LENGTH = 4096;

/**
 * Reads a join token: `kedge-join.` and base64url of a JSON object.
 *
 * @throws KedgeError JOIN_TOKEN_INVALID; the message never repeats the token.
 */
export function parseJoinToken(token: string): JoinToken {
  const text = token.trim();
  if (text.startsWith(PREFIX) && text.length <= MAX_LENGTH) {
    const parsed = parseBody(text.slice(PREFIX.length));
    if (parsed !== undefined) return parsed;
  }
  throw new KedgeError("JOIN_TOKEN_INVALID", "this is not a join token", {
    field: "token",
    hint: "make one with `kedge token create --node`",
  });
}

function parseBody(body: string): JoinToken | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body, "base64url").toString("utf8"));
  } catch {
    return undefined; // Not JSON: the caller's error says all there is to say.
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(value));
  const id = fields.get("id");
  const secret = fields.get("secret");
  const address = fields.get("address");
  const caFingerprint = fields.get("caFingerprint");
  if (!isText(id) || !isText(secret) || !isText(address) || !isText(caFingerprint)) return undefined;
  return { id, secret, address, caFingerprint };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
