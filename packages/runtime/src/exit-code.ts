import { constants } from "node:os";
import type { Exit } from "./runtime.ts";

const SIGNAL_NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** An exit from a shell-style code: 128 + n is named after signal n. */
export function exitOf(exitCode: number, finishedAtMs: number, outOfMemory = false): Exit {
  const signal = SIGNAL_NAMES.get(exitCode - 128);
  return { exitCode, ...(signal === undefined ? {} : { signal }), outOfMemory, finishedAtMs };
}

/** The code a shell would report for a process ended by this signal. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
