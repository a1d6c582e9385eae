import { type BuildStep, traceOf } from "./build-trace.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { ProgressEvent } from "./progress.ts";

/** Turns a build's events, of either builder, into lines for people, and remembers the step that fails. */
export class BuildLog {
  readonly #lines: LineSplitter;
  readonly #onLine: (line: string) => void;
  /** BuildKit repeats a step with each of its changes. */
  readonly #announced = new Set<string>();
  #failedStep: string | undefined;
  #lastStep: string | undefined;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
    this.#lines = new LineSplitter(onLine);
  }

  /** The step that failed; of the classic builder, which goes step by step, the last one. */
  get failedStep(): string | undefined {
    return this.#failedStep ?? this.#lastStep;
  }

  add(event: ProgressEvent): void {
    if (event.stream !== undefined) this.#addText(event.stream);
    else if (event.status !== undefined && event.progress === undefined) this.#onLine(event.status);
    const trace = traceOf(event);
    for (const step of trace?.steps ?? []) this.#addStep(step);
    for (const bytes of trace?.logs ?? []) this.#lines.push(bytes);
  }

  /** Passes on what is left of a line without an end. */
  end(): void {
    this.#lines.end();
  }

  #addText(text: string): void {
    if (/^Step \d+\/\d+ : /.test(text)) this.#lastStep = text;
    this.#lines.push(text);
  }

  #addStep(step: BuildStep): void {
    if (step.failed) this.#failedStep = step.name;
    if (!(step.started || step.cached) || this.#announced.has(step.name)) return;
    this.#announced.add(step.name);
    this.#lines.end();
    this.#onLine(step.cached ? `${step.name} (cached)` : step.name);
  }
}
