import { ERROR_REASONS, ErrorCode, type ErrorCodeName, type ErrorReason } from "./error-reasons.ts";

/** What a KedgeError says beyond its reason and message. */
export interface KedgeErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** The field, flag or setting at fault, e.g. "spec.template.model.version". */
  readonly field?: string;
  /** What the reader can do about it. */
  readonly hint?: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** The one error type of Kedge. Its code and whether a retry may help follow from its reason. */
export class KedgeError extends Error {
  override readonly name = "KedgeError";
  readonly reason: ErrorReason;
  readonly code: ErrorCodeName;
  readonly retryable: boolean;
  readonly field: string | undefined;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, string>>;

  constructor(reason: ErrorReason, message: string, options: KedgeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.code = ERROR_REASONS[reason].code;
    this.retryable = ERROR_REASONS[reason].retryable;
    this.field = options.field;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }

  /** The gRPC status number of the error's code. */
  get status(): number {
    return ErrorCode[this.code];
  }
}

/** Tells whether a value is a KedgeError, with this reason if one is given. */
export function isKedgeError(value: unknown, reason?: ErrorReason): value is KedgeError {
  return value instanceof KedgeError && (reason === undefined || value.reason === reason);
}

/** The message of anything that was thrown. */
export function errorMessage(value: unknown): string {
  return value instanceof Error ? value.message : String(value);
}
