import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** One event of the engine's progress streams (build, pull, push, import), as far as it is looked at. */
export interface ProgressEvent {
  readonly id?: string;
  readonly stream?: string;
  readonly status?: string;
  readonly progress?: string;
  readonly error?: string;
  readonly errorDetail?: { readonly code?: number; readonly message?: string };
  /** BuildKit: a base64 text; otherwise an object. */
  readonly aux?: unknown;
}

/** The events of a stream of JSON lines, one at a time. The engine reports failures as events: look for `error`. */
export async function* readProgress(stream: Readable): AsyncGenerator<ProgressEvent> {
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() !== "") yield JSON.parse(line) as ProgressEvent;
  }
}

/** A text field of an event's `aux` object. */
export function auxField(event: ProgressEvent, name: string): string | undefined {
  if (typeof event.aux !== "object" || event.aux === null) return undefined;
  const value: unknown = Reflect.get(event.aux, name);
  return typeof value === "string" ? value : undefined;
}
