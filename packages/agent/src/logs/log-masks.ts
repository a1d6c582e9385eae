import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { MaskSet, type MaskStream } from "@kedge/domain";

/** Name, in the workspace, of the file that steps write further secrets to, one a line. */
export const MASKS_FILE = ".kedge-masks";

const MAX_FILE_BYTES = 256 * 1024;

/**
 * Masks a task's secrets in all that it tells: those it was given, and those that its steps name in the masks file. A
 * step that writes a secret to the file before it prints it can rely on it: the file is looked at after each piece of
 * output was read and before it is masked.
 */
export class LogMasks {
  readonly #set = new MaskSet();
  readonly #streams = new Map<string, MaskStream>();
  readonly #file: string;
  #version = "";

  /** @param workspace where the masks file is */
  constructor(workspace: string) {
    this.#file = join(workspace, MASKS_FILE);
  }

  /** Masks the values from now on; answers the names of those that are too short for that. */
  add(secrets: ReadonlyMap<string, Uint8Array>): string[] {
    return [...secrets].filter(([, value]) => !this.#set.add(value)).map(([name]) => name);
  }

  /** Masks the next piece of a stream. What may be the beginning of a secret comes with a later one. */
  push(stream: string, data: Uint8Array): Uint8Array {
    this.#readFile();
    return this.#stream(stream).push(data);
  }

  /** How many bytes of a stream are held. */
  held(stream: string): number {
    return this.#streams.get(stream)?.held ?? 0;
  }

  /** The rest of a stream that has ended. */
  flush(stream: string): Uint8Array {
    this.#readFile();
    const rest = this.#stream(stream).flush();
    this.#streams.delete(stream);
    return rest;
  }

  /** A text that stands alone, masked. */
  text(text: string): string {
    this.#readFile();
    return this.#set.text(text);
  }

  #stream(name: string): MaskStream {
    const stream = this.#streams.get(name) ?? this.#set.stream();
    this.#streams.set(name, stream);
    return stream;
  }

  /** Takes up what the file says, if it was changed. No more than its first 256 KiB, and only of a plain file. */
  #readFile(): void {
    const { ino, size, mtimeMs } = lstatSync(this.#file, { throwIfNoEntry: false }) ?? { ino: 0, size: 0, mtimeMs: 0 };
    const version = `${ino} ${size} ${mtimeMs}`;
    if (size === 0 || version === this.#version) return;
    this.#version = version;
    for (const line of readPlain(this.#file).split("\n")) this.#set.add(line);
  }
}

/** The first 256 KiB of a plain file; nothing of anything else. */
function readPlain(path: string): string {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return ""; // A step may have made it a link, or taken it away.
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) return "";
    const bytes = Buffer.alloc(Math.min(stat.size, MAX_FILE_BYTES));
    return bytes.toString("utf8", 0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}
