import { readFile } from "node:fs/promises";
import { KedgeError } from "@kedge/domain";
import { InvalidArgumentError } from "commander";

/** Collects `key=value` options into a record; for commander's option parsers. */
export function keyValue(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected key=value.");
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Collects an option that may come several times. */
export function repeated(text: string, previous: readonly string[] = []): string[] {
  return [...previous, text];
}

/** A whole number from 1. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("Expected a whole number from 1.");
  return value;
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** A span such as "90s", "15m", "2h" or "7d", in seconds. */
export function span(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const unit = match?.[2];
  if (unit !== "s" && unit !== "m" && unit !== "h" && unit !== "d") {
    throw new InvalidArgumentError('Expected a span such as "90s", "15m", "2h" or "7d".');
  }
  return Number(match?.[1]) * SECONDS[unit];
}

/** The text of a file named on the command line; "-" is standard input. */
export async function readInput(path: string): Promise<string> {
  return readFile(path === "-" ? "/dev/stdin" : path, "utf8").catch((cause: unknown) => {
    throw new KedgeError("INVALID_OPTION", `cannot read ${path}`, { cause, field: "-f" });
  });
}

/** An argument the parser has made sure of. */
export function argument(args: readonly string[], index: number): string {
  const value = args[index];
  if (value === undefined) throw new KedgeError("INVALID_OPTION", `argument ${index + 1} is missing`);
  return value;
}
