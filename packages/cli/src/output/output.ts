import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Diagnostic, Diagnostic_Severity } from "@kedge/proto";
import { renderTable, type Table } from "./table.ts";
import { safeText } from "./text.ts";

/** A stream the output writes to, with what it knows of the terminal behind it. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Settings of an Output. */
export interface OutputOptions {
  readonly json: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Colours are used on a terminal unless this is set (NO_COLOR). */
  readonly plain: boolean;
}

/** What people read of a result: lines, a table, or both in order. */
export type View = readonly (string | Table)[];

/**
 * Where all results and progress are printed. Results go to standard output: with --json one document, or one per line
 * for streams; without, the view for people. Progress goes to standard error and is not printed with --json.
 */
export class Output {
  readonly json: boolean;
  readonly #options: OutputOptions;

  constructor(options: OutputOptions) {
    this.json = options.json;
    this.#options = options;
  }

  /** Prints the one result of a command. */
  show<S extends DescMessage>(schema: S, message: MessageShape<S>, view: (message: MessageShape<S>) => View): void {
    if (this.json) this.raw(JSON.stringify(toJson(schema, message), undefined, 2));
    else this.view(view(message));
  }

  /** Prints one result of several that come in time. */
  item<S extends DescMessage>(schema: S, message: MessageShape<S>, view: (message: MessageShape<S>) => View): void {
    if (this.json) this.raw(JSON.stringify(toJson(schema, message)));
    else this.view(view(message));
  }

  /** Prints a view for people, also with --json. */
  view(view: View): void {
    const width = this.#options.stdout.isTTY ? this.#options.stdout.columns : undefined;
    for (const part of view) {
      if (typeof part === "string") this.raw(part);
      else
        for (const [index, line] of renderTable(part, width).entries()) this.raw(index === 0 ? this.bold(line) : line);
    }
  }

  /** Prints a line as it is. */
  raw(line: string): void {
    this.#options.stdout.write(`${line}\n`);
  }

  /** Prints text as it is, without a line end of its own. */
  text(text: string): void {
    if (text !== "") this.#options.stdout.write(text);
  }

  /** Says what is going on. */
  progress(line: string): void {
    if (!this.json) this.#options.stderr.write(`${safeText(line)}\n`);
  }

  /** Prints a line to standard error, also with --json. */
  error(line: string): void {
    this.#options.stderr.write(`${safeText(line)}\n`);
  }

  /** Prints findings about a file as file:line:column, as editors understand them. */
  diagnostics(diagnostics: readonly Diagnostic[]): void {
    for (const { severity, file, line, column, message, hint } of diagnostics) {
      const kind = severity === Diagnostic_Severity.WARNING ? "warning" : "error";
      this.#options.stderr.write(
        `${safeText(`${file}:${line}:${column}: ${kind}: ${message}${hint ? ` (${hint})` : ""}`)}\n`,
      );
    }
  }

  /** Whether colours are for a person to see. */
  get isColoured(): boolean {
    return this.#options.stdout.isTTY === true && !this.#options.plain;
  }

  bold(text: string): string {
    return this.isColoured ? `\u001b[1m${text}\u001b[22m` : text;
  }
}
