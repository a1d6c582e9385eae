import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { FlagAttributes, FlagSet } from "@kedge/rollout/flags";
import { answerAll, answerOne, type OfrepAnswer, readQuestion } from "./ofrep.ts";

/** What is served. */
export interface FlagServerOptions {
  readonly flags: () => FlagSet | undefined;
  /** Attributes of the node, that every question has. */
  readonly attributes: FlagAttributes;
}

const PATH = "/ofrep/v1/evaluate/flags";
const MAX_BODY_BYTES = 64 * 1024;
const MAX_KEY_LENGTH = 256;
const REQUEST_TIMEOUT_MS = 5_000;
const ETAG_LENGTH = 27;

/**
 * An HTTP server of the OpenFeature Remote Evaluation Protocol, not listening yet: one flag, or all of them with an ETag,
 * which is that of the answer and so changes only when something changes for who asks. Plain node:http, as memory at rest
 * counts. It needs no token: what reaches it is on this machine.
 */
export function createFlagServer(options: FlagServerOptions): Server {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(options, request, response).catch(() => response.destroy()); // The client went away while it wrote.
  });
  server.maxConnections = 1024;
  return server;
}

async function answer(options: FlagServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const key = flagOf(request.url ?? "");
  if (key === false)
    return send(response, { status: 404, body: { errorDetails: `POST to ${PATH} or ${PATH}/<flag>` } });
  if (request.method !== "POST") {
    response.setHeader("allow", "POST");
    return send(response, { status: 405, body: { errorDetails: "evaluation is asked for by POST" } });
  }
  const text = await readBody(request);
  if (text === undefined) {
    response.setHeader("connection", "close");
    return send(response, { status: 413, body: { errorDetails: `a body has at most ${MAX_BODY_BYTES} bytes` } });
  }
  const question = readQuestion(text, options.attributes, key);
  if ("refused" in question) return send(response, question.refused);
  const set = options.flags();
  if (key !== undefined) return send(response, answerOne(set, key, question.attributes));
  return sendTagged(response, answerAll(set, question.attributes), request.headers["if-none-match"]);
}

/** The flag that a path names, undefined for all flags; false for another path. */
function flagOf(url: string): string | undefined | false {
  const [path = ""] = url.split("?", 1);
  if (path === PATH || path === `${PATH}/`) return undefined;
  if (!path.startsWith(`${PATH}/`)) return false;
  try {
    const key = decodeURIComponent(path.slice(PATH.length + 1));
    return key.length <= MAX_KEY_LENGTH ? key : false;
  } catch {
    return false;
  }
}

/** The body as text; undefined when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function sendTagged(response: ServerResponse, { status, body }: OfrepAnswer, wanted: string | undefined): void {
  const text = JSON.stringify(body);
  if (status === 200) {
    const tag = `"${createHash("sha256").update(text).digest("base64url").slice(0, ETAG_LENGTH)}"`;
    response.setHeader("etag", tag);
    if (matches(wanted, tag)) {
      response.writeHead(304).end();
      return;
    }
  }
  response.writeHead(status, { "content-type": "application/json" }).end(text);
}

/** Weak comparison (RFC 9110, 8.8.3.2): proxies may weaken tags. */
function matches(wanted: string | undefined, tag: string): boolean {
  return wanted?.split(",").some((each) => each.trim().replace(/^W\//, "") === tag) ?? false;
}

function send(response: ServerResponse, { status, body }: OfrepAnswer): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
