import { TextDecoder } from "node:util";
import { type LogChunk, LogStream } from "@kedge/proto";
import type { Output } from "../output/output.ts";
import { safeLogText, safeText } from "../output/text.ts";

/** Lines of a job that waits for its turn; beyond, the oldest are dropped. */
const MAX_KEPT_LINES = 50_000;
/** A longer line is printed in parts. */
const MAX_LINE = 100_000;

interface Partial {
  readonly decoder: TextDecoder;
  text: string;
}

interface JobLines {
  /** It never began, so it has no lines: only its footer is printed. */
  readonly isIdle: boolean;
  readonly partials: Map<string, Partial>;
  kept: string[];
  dropped: number;
  /** What is said at its end, once it has ended. */
  footer: string | undefined;
}

/**
 * Prints the logs of jobs that run side by side one job after the other: the oldest that runs is live, the others are kept
 * and printed when it has ended.
 */
export class FoldedLog {
  readonly #output: Pick<Output, "raw" | "bold">;
  /** In the order in which they began; the first is the live one. */
  readonly #jobs = new Map<string, JobLines>();

  constructor(output: Pick<Output, "raw" | "bold">) {
    this.#output = output;
  }

  /** A job begins. */
  begin(job: string): void {
    if (!this.#jobs.has(job)) this.#enter(job, false);
  }

  /** A piece of its output. */
  add(job: string, { step, stream, data }: Pick<LogChunk, "step" | "stream" | "data">): void {
    this.begin(job);
    const lines = this.#jobs.get(job);
    if (lines === undefined) return;
    const mark = stream === LogStream.SYSTEM ? "*" : "|";
    const prefix = `${safeText(step)} ${mark} `;
    const partial = lines.partials.get(`${stream}:${step}`) ?? { decoder: new TextDecoder(), text: "" };
    lines.partials.set(`${stream}:${step}`, partial);
    const parts = (partial.text + partial.decoder.decode(data, { stream: true })).split("\n");
    partial.text = parts.pop() ?? "";
    if (partial.text.length > MAX_LINE) parts.push(partial.text.slice(0, MAX_LINE));
    partial.text = partial.text.length > MAX_LINE ? partial.text.slice(MAX_LINE) : partial.text;
    for (const text of parts) this.#line(job, lines, prefix + safeLogText(text.replace(/\r$/, "")));
  }

  /** A job has ended; `footer` says how. */
  end(job: string, footer: string): void {
    const lines = this.#jobs.get(job) ?? this.#enter(job, true);
    for (const [key, { decoder, text }] of lines.partials) {
      const rest = text + decoder.decode();
      if (rest !== "") this.#line(job, lines, `${safeText(key.slice(key.indexOf(":") + 1))} | ${safeLogText(rest)}`);
    }
    lines.footer = footer;
    this.#next();
  }

  #enter(job: string, isIdle: boolean): JobLines {
    const isLive = this.#jobs.size === 0;
    const lines = { isIdle, partials: new Map(), kept: [], dropped: 0, footer: undefined };
    this.#jobs.set(job, lines);
    if (isLive && !isIdle) this.#header(job);
    return lines;
  }

  #line(job: string, lines: JobLines, text: string): void {
    if (this.#jobs.keys().next().value === job) {
      this.#output.raw(text);
      return;
    }
    lines.kept.push(text);
    if (lines.kept.length <= MAX_KEPT_LINES) return;
    lines.dropped += lines.kept.length - MAX_KEPT_LINES / 2;
    lines.kept = lines.kept.slice(-MAX_KEPT_LINES / 2);
  }

  /** Takes off what has ended, and prints what was kept of the one that is live then. */
  #next(): void {
    for (const [job, lines] of this.#jobs) {
      if (lines.dropped > 0) this.#output.raw(`... ${lines.dropped} lines`);
      for (const text of lines.kept.splice(0)) this.#output.raw(text);
      if (lines.footer === undefined) return;
      this.#output.raw(this.#output.bold(lines.footer));
      this.#jobs.delete(job);
      const following = this.#jobs.entries().next().value;
      if (following?.[1].isIdle === false) this.#header(following[0]);
    }
  }

  #header(job: string): void {
    this.#output.raw(this.#output.bold(`job ${safeText(job)}`));
  }
}
