import { request as requestHttp, STATUS_CODES } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { errorMessage, isKedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { guardedLookup, type Resolve, refusal, whyRefused } from "./addresses.ts";

/** A request to a receiver. */
export interface Post {
  /** http(s), without user and password. */
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly allowPrivate: boolean;
}

/** What requests are made with. */
export interface Sending {
  readonly clock: Clock;
  readonly resolve: Resolve;
  readonly signal: AbortSignal;
}

/** How a request ended. `status` is that of the answer, if one came; `retryAfterMs` is what the receiver asks for. */
export type PostOutcome =
  | { readonly kind: "taken" }
  | {
      readonly kind: "failed";
      readonly error: string;
      readonly status?: number;
      readonly retryAfterMs?: number;
    };

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 16 * 1024;
const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Posts JSON once: no redirect is followed, no proxy used, no connection kept, and the address that was checked is the
 * one that is connected to. Never throws; gives up after 10 s or when the signal aborts.
 */
export async function post(message: Post, { clock, resolve, signal }: Sending): Promise<PostOutcome> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  const cancel = clock.after(TIMEOUT_MS, stop);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const answer = await exchange(message, resolve, abort.signal);
    return outcomeOf(answer, clock.now());
  } catch (error) {
    const error_ = abort.signal.aborted && !signal.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : wordsOf(error);
    return { kind: "failed", error: error_ };
  } finally {
    cancel();
    signal.removeEventListener("abort", stop);
  }
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
}

function exchange(message: Post, resolve: Resolve, signal: AbortSignal): Promise<Answer> {
  const { url, body, headers, allowPrivate } = message;
  const target = new URL(url);
  const host = target.hostname.replace(/^\[|\]$/g, "");
  // Nothing is looked up for an address, so the hook would not see it.
  const why = isIP(host) === 0 ? undefined : whyRefused(host, allowPrivate);
  if (why !== undefined) return Promise.reject(refusal(host, host, why));
  const start = target.protocol === "https:" ? requestHttps : requestHttp;
  const length = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
  const options = { method: "POST", agent: false, signal, lookup: guardedLookup(resolve, allowPrivate) } as const;
  return new Promise((take, reject) => {
    const sending = start(
      target,
      { ...options, headers: { "user-agent": "kedge", ...headers, ...length } },
      (answer) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        const done = (): void => {
          const { statusCode: status = 0, headers: got } = answer;
          take({ status, retryAfter: got["retry-after"], body: Buffer.concat(chunks).toString() });
        };
        answer.on("data", (chunk: Buffer) => {
          bytes += chunk.byteLength;
          if (bytes <= MAX_ANSWER_BYTES) return void chunks.push(chunk);
          done();
          answer.destroy();
        });
        answer.on("end", done);
        answer.on("error", reject);
      },
    );
    sending.on("error", reject);
    sending.end(body);
  });
}

function outcomeOf({ status, retryAfter, body }: Answer, nowMs: number): PostOutcome {
  if (status >= 200 && status < 300) return { kind: "taken" };
  const said = status >= 300 && status < 400 ? "redirects are not followed" : codeWord(body);
  const error = [`HTTP ${status}`, STATUS_CODES[status], said && `(${said})`].filter(Boolean).join(" ");
  const retryAfterMs = parseRetryAfter(retryAfter, nowMs);
  return { kind: "failed", error, status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** Slack answers with one word, e.g. "invalid_payload". Anything else stays out: an answer may come from anywhere. */
function codeWord(body: string): string {
  return /^[a-z][a-z_]{2,39}$/.test(body.trim()) ? body.trim() : "";
}

/** RFC 9110, 10.2.3: seconds or a date. At most an hour is granted. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const isDate = /^[A-Z][a-z]{2,8}, /.test(text);
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : isDate ? Date.parse(text) - nowMs : Number.NaN;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) : undefined;
}

/** What went wrong, without the address: it may be a secret. */
function wordsOf(error: unknown): string {
  if (isKedgeError(error)) return error.message;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code === "" ? errorMessage(error).slice(0, 100) : `cannot be reached: ${code.slice(0, 60)}`;
}
