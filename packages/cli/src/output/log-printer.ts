import type { LogLine } from "@kedge/client";
import { type LogExcerpt, type LogSearchSummary, LogStream } from "@kedge/proto";
import { safeLogText, safeText } from "./text.ts";

/** How lines of logs look. */
export interface LogStyle {
  /** In front of each line, when it was logged. */
  readonly timestamps: boolean;
  /** The names of jobs are told apart by colours. */
  readonly coloured: boolean;
  /** Colours of the programs' own are kept. */
  readonly keepsColours: boolean;
}

/** Cyan, yellow, green, magenta, blue, and the bright ones. */
const COLOURS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94] as const;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the colour sequences that are taken out
const COLOUR = /\u001b\[[0-9;]*m/g;

/** Turns lines of logs into text for people: under the name of their job and step, harmless to a terminal. */
export class LogPrinter {
  readonly #style: LogStyle;
  readonly #colours = new Map<string, number>();

  constructor(style: LogStyle) {
    this.#style = style;
  }

  line({ job, step, stream, atMs, text }: LogLine): string {
    const mark = stream === LogStream.SYSTEM ? "*" : "|";
    return `${this.#time(atMs)}${this.#name(job, step)} ${mark} ${this.#content(text)}`;
  }

  excerpt(job: string, { step, line, found, text }: LogExcerpt, atMs: number): string {
    return `${this.#time(atMs)}${this.#name(job, step)} ${line}${found ? ":" : "-"} ${this.#content(text)}`;
  }

  summary({ found, lines }: LogSearchSummary): string {
    return `found in ${found} of ${lines} lines`;
  }

  #time(atMs: number): string {
    return this.#style.timestamps && atMs > 0 ? `${new Date(atMs).toISOString()} ` : "";
  }

  #name(job: string, step: string): string {
    const name = safeText(step === "" ? job : `${job}/${step}`);
    if (!this.#style.coloured) return name;
    const colour = this.#colours.get(job) ?? COLOURS[this.#colours.size % COLOURS.length] ?? COLOURS[0];
    this.#colours.set(job, colour);
    return `\u001b[${colour}m${name}\u001b[39m`;
  }

  #content(text: string): string {
    const safe = safeLogText(this.#style.keepsColours ? text : text.replace(COLOUR, ""));
    // A colour that a line leaves on would run into the next name.
    return this.#style.keepsColours && safe.includes("\u001b[") && this.#style.coloured ? `${safe}\u001b[0m` : safe;
  }
}
