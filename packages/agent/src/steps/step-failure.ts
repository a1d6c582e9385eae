import { errorMessage, isKedgeError, type KedgeError } from "@kedge/domain";
import { FailureClass } from "@kedge/proto";

/** Why a step can fail, as the controller's retry rules tell failures apart. */
export type FailureKind =
  | "EXIT_CODE"
  | "TIMEOUT"
  | "OUT_OF_MEMORY"
  | "INFRASTRUCTURE"
  | "INVALID"
  | "GATE"
  | "CANCELLED";

/** The end of a step that did not succeed. */
export class StepFailure extends Error {
  override readonly name = "StepFailure";
  readonly kind: FailureKind;
  readonly exitCode: number;

  constructor(kind: FailureKind, message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.exitCode = options.exitCode ?? 0;
  }

  /** The class in the vocabulary of the run's documents. */
  get failureClass(): FailureClass {
    return FailureClass[this.kind];
  }
}

/**
 * Any error of a step as a StepFailure: requests that can never work are the job's fault, everything else the node's.
 */
export function toStepFailure(error: unknown): StepFailure {
  if (error instanceof StepFailure) return error;
  const kind = isKedgeError(error) && isJobsFault(error) ? "INVALID" : "INFRASTRUCTURE";
  const hint = isKedgeError(error) && error.hint !== undefined ? ` (${error.hint})` : "";
  return new StepFailure(kind, `${errorMessage(error)}${hint}`, { cause: error });
}

function isJobsFault({ code, reason }: KedgeError): boolean {
  // What a node lacks another one may have.
  if (reason === "UNSUPPORTED_PLATFORM") return false;
  return (
    code === "INVALID_ARGUMENT" ||
    code === "NOT_FOUND" ||
    code === "FAILED_PRECONDITION" ||
    code === "PERMISSION_DENIED" ||
    code === "RESOURCE_EXHAUSTED"
  );
}
