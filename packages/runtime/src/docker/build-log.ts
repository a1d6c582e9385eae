import { traceOf } from "./build-trace.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { ProgressEvent } from "./progress.ts";

/** Turns a build's events, of either builder, into lines for people. */
export class BuildLog {
  readonly #lines: LineSplitter;
  readonly #onLine: (line: string) => void;
  /** Steps announced; BuildKit repeats them with every change. */
  readonly #announced = new Set<string>();

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
    this.#lines = new LineSplitter(onLine);
  }

  add(event: ProgressEvent): void {
    if (event.stream !== undefined) this.#lines.push(event.stream);
    else if (event.status !== undefined && event.progress === undefined) this.#onLine(event.status);
    const trace = traceOf(event);
    for (const vertex of trace?.vertexes ?? []) this.#announce(vertex);
    for (const bytes of trace?.logs ?? []) this.#lines.push(bytes);
  }

  end(): void {
    this.#lines.end();
  }

  #announce(vertex: { readonly name: string; readonly started: boolean; readonly cached: boolean }): void {
    const text = vertex.cached ? `${vertex.name} (cached)` : vertex.name;
    if (!(vertex.started || vertex.cached) || this.#announced.has(vertex.name)) return;
    this.#announced.add(vertex.name);
    this.#lines.end();
    this.#onLine(text);
  }
}
