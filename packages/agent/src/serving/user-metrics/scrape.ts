import { get, type IncomingMessage } from "node:http";

/** What to ask, and how long and how much to take. */
export interface ScrapeOptions {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Absolute path. */
  readonly path: string;
  /** For all of it; default 1 s. */
  readonly timeoutMs?: number;
  /** Longer answers are not read to their end; default 1 MiB. */
  readonly maxBytes?: number;
  readonly signal: AbortSignal;
}

/**
 * What a replica tells at its metrics path; undefined when it does not answer 200 in time and in short. Redirects are not
 * followed: a replica must not be able to send its agent elsewhere. Never throws.
 */
export function scrape(options: ScrapeOptions): Promise<string | undefined> {
  const { port, path, timeoutMs = 1000, maxBytes = 1 << 20 } = options;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)]);
  const headers = { accept: "text/plain;version=0.0.4", "accept-encoding": "identity" };
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path, headers, agent: false, signal }, (response) => {
      response.on("error", () => resolve(undefined));
      if (response.statusCode === 200) collect(response, maxBytes, resolve);
      else {
        response.destroy();
        resolve(undefined);
      }
    });
    request.on("error", () => resolve(undefined));
  });
}

function collect(response: IncomingMessage, maxBytes: number, resolve: (text: string | undefined) => void): void {
  const parts: Buffer[] = [];
  let length = 0;
  response.on("data", (part: Buffer) => {
    length += part.length;
    parts.push(part);
    if (length <= maxBytes) return;
    response.destroy();
    resolve(undefined);
  });
  response.on("end", () => resolve(Buffer.concat(parts).toString("utf8")));
  response.on("close", () => resolve(undefined)); // Cut off; after "end" it changes nothing.
}
