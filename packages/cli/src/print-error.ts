import { errorMessage, isKedgeError } from "@kedge/domain";
import { CommanderError } from "commander";
import { type ExitName, exitOfError } from "./exit-codes.ts";
import { safeText } from "./output/text.ts";

/** Ends a command with a code when everything worth saying was printed already. */
export class ExitRequest extends Error {
  readonly exit: ExitName;

  constructor(exit: ExitName) {
    super(`exit: ${exit}`);
    this.exit = exit;
  }
}

/** One line about an error: reason, message, field, hint. */
export function errorLine(error: unknown): string {
  if (!isKedgeError(error)) return `error: ${safeText(errorMessage(error))}`;
  const field = error.field === undefined || error.message.includes(error.field) ? "" : ` (field ${error.field})`;
  const hint = error.hint === undefined ? "" : ` Hint: ${error.hint}`;
  const sentence = `${error.message}${field}`;
  return `error: ${error.reason}: ${safeText(`${sentence}${sentence.endsWith(".") ? "" : "."}${hint}`)}`;
}

/** Prints an error for people, with its stack when KEDGE_DEBUG is set, and answers how to exit. */
export function reportError(error: unknown, debug: boolean, write: (text: string) => void): ExitName {
  if (error instanceof ExitRequest) return error.exit;
  // commander has printed its own message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? "ok" : "usage";
  write(`${errorLine(error)}\n`);
  if (debug && error instanceof Error)
    write(`${error.stack ?? ""}\n${error.cause === undefined ? "" : `cause: ${String(error.cause)}\n`}`);
  return isKedgeError(error) ? exitOfError(error.code) : "failed";
}
