import { readFile } from "node:fs/promises";
import { KedgeError } from "@kedge/domain";
import type { Sink } from "./output/output.ts";
import { ExitRequest } from "./print-error.ts";

/** Where a value is typed or piped from; `process.stdin` is one. */
export interface ValueSource extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean;
  /** Whether keys come one by one and are not shown. */
  setRawMode?(on: boolean): unknown;
}

const ENTER: ReadonlySet<number> = new Set([0x0a, 0x0d]);
const INTERRUPT = 0x03;
const END = 0x04;
const ERASE: ReadonlySet<number> = new Set([0x08, 0x7f]);
const ERASE_ALL = 0x15;

/** The bytes of a file with a value, as they are. @throws KedgeError INVALID_OPTION. */
export async function readValueFile(path: string): Promise<Uint8Array> {
  return readFile(path === "-" ? "/dev/stdin" : path).catch((cause: unknown) => {
    throw new KedgeError("INVALID_OPTION", `cannot read ${path}`, { cause, field: "--from-file" });
  });
}

/**
 * A value from standard input: typed at a prompt without being shown, or all that is piped, without one line end at its
 * end, which `echo` adds.
 */
export async function readValue(source: ValueSource, prompt: string, stderr: Sink): Promise<Uint8Array> {
  if (source.isTTY === true && source.setRawMode !== undefined) return typed(source, prompt, stderr);
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(Buffer.from(part));
  const all = Buffer.concat(parts);
  const end = all.at(-1) === 0x0a ? all.byteLength - (all.at(-2) === 0x0d ? 2 : 1) : all.byteLength;
  return all.subarray(0, end);
}

async function typed(source: ValueSource, prompt: string, stderr: Sink): Promise<Uint8Array> {
  stderr.write(prompt);
  source.setRawMode?.(true);
  try {
    let keys: number[] = [];
    for await (const part of source) {
      for (const key of Buffer.from(part)) {
        if (ENTER.has(key)) return Buffer.from(keys);
        if (key === INTERRUPT || (key === END && keys.length === 0)) throw new ExitRequest("interrupted");
        if (key === ERASE_ALL) keys = [];
        else if (ERASE.has(key)) eraseLast(keys);
        else keys.push(key);
      }
    }
    return Buffer.from(keys);
  } finally {
    source.setRawMode?.(false);
    stderr.write("\n");
  }
}

/** A whole character, whatever its length in UTF-8. */
function eraseLast(keys: number[]): void {
  while (((keys.at(-1) ?? 0) & 0xc0) === 0x80) keys.pop();
  keys.pop();
}
