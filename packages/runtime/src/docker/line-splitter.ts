import { StringDecoder } from "node:string_decoder";

/** A line longer than this is passed on in parts, so that memory stays bounded. */
const MAX_LINE_CHARS = 64 * 1024;

/** Turns bytes into lines of text. Characters cut in two are put together again. */
export class LineSplitter {
  readonly #decoder = new StringDecoder("utf8");
  readonly #onLine: (line: string) => void;
  #rest = "";

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Uint8Array | string): void {
    this.#rest += typeof bytes === "string" ? bytes : this.#decoder.write(bytes);
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#onLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    if (this.#rest.length > MAX_LINE_CHARS) this.#flush();
  }

  /** Passes on a last line without an end. */
  end(): void {
    this.#rest += this.#decoder.end();
    this.#flush();
  }

  #flush(): void {
    if (this.#rest !== "") this.#onLine(this.#rest);
    this.#rest = "";
  }
}
