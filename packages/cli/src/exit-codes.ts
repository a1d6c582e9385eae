import type { ErrorCodeName } from "@kedge/domain";

/** What the process says with its exit code; printed by `kedge help exit-codes`. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: "It worked." },
  failed: { code: 1, meaning: "It failed for a reason that has no code of its own." },
  usage: { code: 2, meaning: "The command line or a file given to it is wrong." },
  runFailed: { code: 3, meaning: "The run ended without success." },
  rolledBack: { code: 4, meaning: "The rollout was rolled back." },
  notFound: { code: 5, meaning: "The object does not exist." },
  refused: { code: 6, meaning: "The token is missing, not valid, or may not do this." },
  unavailable: { code: 7, meaning: "The controller, or something it needs, cannot be reached." },
  conflict: { code: 8, meaning: "The object is not in a state that allows this, or somebody else changed it." },
  unplaced: { code: 9, meaning: "No node has room for it now." },
  timeout: { code: 124, meaning: "It did not end in time." },
  interrupted: { code: 130, meaning: "Interrupted from the keyboard." },
} as const;

/** A key of the table. */
export type ExitName = keyof typeof EXIT_CODES;

const EXIT_OF_ERROR: Readonly<Record<ErrorCodeName, ExitName>> = {
  CANCELLED: "interrupted",
  UNKNOWN: "failed",
  INVALID_ARGUMENT: "usage",
  DEADLINE_EXCEEDED: "timeout",
  NOT_FOUND: "notFound",
  ALREADY_EXISTS: "conflict",
  PERMISSION_DENIED: "refused",
  RESOURCE_EXHAUSTED: "failed",
  FAILED_PRECONDITION: "conflict",
  ABORTED: "conflict",
  UNIMPLEMENTED: "failed",
  INTERNAL: "failed",
  UNAVAILABLE: "unavailable",
  UNAUTHENTICATED: "refused",
};

/** The exit code's name for an error's code. */
export function exitOfError(code: ErrorCodeName): ExitName {
  return EXIT_OF_ERROR[code];
}
