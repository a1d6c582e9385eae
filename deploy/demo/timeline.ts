import { type Clock, systemClock } from "@kedge/kernel";

/** How a line is meant: a chapter's title, something that happened, progress, or the way it ended. */
export type Tone = "title" | "info" | "progress" | "good" | "bad";

const COLOURS: Readonly<Record<Tone, string>> = { title: "1", info: "0", progress: "2", good: "32", bad: "31" };

/** Where the timeline goes. */
export interface TimelineOptions {
  readonly json: boolean;
  readonly stream: NodeJS.WriteStream;
  readonly clock?: Clock;
}

/** Tells what happens, one line each, with the time since the start; as JSON lines when asked for. */
export class Timeline {
  readonly #json: boolean;
  readonly #stream: NodeJS.WriteStream;
  readonly #colour: boolean;
  readonly #clock: Clock;
  readonly #startedAtMs: number;

  constructor({ json, stream, clock = systemClock }: TimelineOptions) {
    this.#json = json;
    this.#stream = stream;
    this.#colour = stream.isTTY === true && !process.env["NO_COLOR"];
    this.#clock = clock;
    this.#startedAtMs = clock.monotonic();
  }

  /** Seconds since the start. */
  get elapsed(): number {
    return (this.#clock.monotonic() - this.#startedAtMs) / 1000;
  }

  /** A new chapter. */
  title(text: string): void {
    if (!this.#json) this.#stream.write("\n");
    this.say("kedge", text, "title");
  }

  /** One thing that happened; `source` is the part of the system it is about. */
  say(source: string, text: string, tone: Tone = "info"): void {
    const at = this.elapsed.toFixed(1);
    this.record({ type: "timeline", atSeconds: Number(at), source, tone, text });
    if (this.#json) return;
    const line = `${at.padStart(6)}s  ${tone === "title" ? text : `${source.padEnd(8)}  ${text}`}`;
    this.#stream.write(this.#colour ? `\u001b[${COLOURS[tone]}m${line}\u001b[0m\n` : `${line}\n`);
  }

  /** Text as it is; nothing with JSON. */
  print(text: string): void {
    if (!this.#json) this.#stream.write(`${text}\n`);
  }

  /** One JSON line; nothing as text. */
  record(value: object): void {
    if (this.#json) this.#stream.write(`${JSON.stringify(value)}\n`);
  }
}
