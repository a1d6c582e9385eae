import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { ERROR_REASONS, ErrorCode, type ErrorReason, errorMessage, KedgeError } from "@kedge/domain";
import { type ErrorDetail, ErrorDetailSchema } from "@kedge/proto";

/** Trailer that carries an ErrorDetail. */
const DETAIL_TRAILER = "kedge-error-bin";
/** HTTP/2 peers accept 64 KiB of headers; percent encoding may triple a message. */
const MAX_MESSAGE = 4_096;
const MAX_HINT = 1_024;
const MAX_FIELD = 256;
const MAX_DETAILS = 16;

/** How grpc-js ends a call that failed. */
export interface FailedStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** The status a handler's error is sent as. Anything but a KedgeError is opaque to the client: it may hold secrets. */
export function statusOf(error: unknown): FailedStatus {
  const known =
    error instanceof KedgeError ? error : new KedgeError("INTERNAL", "the server made a mistake; see its log");
  const detail = create(ErrorDetailSchema, {
    reason: known.reason,
    field: clip(known.field ?? "", MAX_FIELD),
    retryable: known.retryable,
    hint: clip(known.hint ?? "", MAX_HINT),
    details: clipDetails(known.details),
  });
  const metadata = new Metadata();
  metadata.set(DETAIL_TRAILER, Buffer.from(toBinary(ErrorDetailSchema, detail)));
  return { code: known.status, details: clip(known.message, MAX_MESSAGE), metadata };
}

/** The error that a failed call becomes at the client. */
export function errorOfStatus(error: ServiceError, address: string): KedgeError {
  const detail = readDetail(error.metadata);
  const reason = knownReason(detail, error.code) ?? REASON_OF_CODE.get(error.code) ?? "INTERNAL";
  const hint = detail?.hint || HINTS[reason]?.(address);
  return new KedgeError(reason, error.details === "" ? error.message : error.details, {
    cause: error,
    ...(detail !== undefined && detail.field !== "" ? { field: detail.field } : {}),
    ...(hint === undefined ? {} : { hint }),
    ...(detail === undefined ? {} : { details: detail.details }),
  });
}

/** Any error of a call as a KedgeError. */
export function callError(error: unknown, address: string): KedgeError {
  if (error instanceof KedgeError) return error;
  if (isServiceError(error)) return errorOfStatus(error, address);
  return new KedgeError("INTERNAL", errorMessage(error), { cause: error });
}

/** What a status without a detail means: it came from grpc itself, or from a server that is not Kedge. */
const REASON_OF_CODE: ReadonlyMap<number, ErrorReason> = new Map([
  [ErrorCode.CANCELLED, "CANCELLED"],
  [ErrorCode.INVALID_ARGUMENT, "INVALID_FIELD"],
  [ErrorCode.DEADLINE_EXCEEDED, "TIMEOUT"],
  [ErrorCode.PERMISSION_DENIED, "PERMISSION_DENIED"],
  [ErrorCode.RESOURCE_EXHAUSTED, "TOO_LARGE"],
  [ErrorCode.ABORTED, "CONFLICT"],
  [ErrorCode.UNIMPLEMENTED, "UNSUPPORTED"],
  [ErrorCode.UNAVAILABLE, "CONTROLLER_UNAVAILABLE"],
  [ErrorCode.UNAUTHENTICATED, "UNAUTHENTICATED"],
]);

const HINTS: Partial<Record<ErrorReason, (address: string) => string>> = {
  CONTROLLER_UNAVAILABLE: (address) =>
    `Check that the controller runs at ${address} and that its certificate was signed by the CA you have (kedge up prints both).`,
  UNAUTHENTICATED: () => "Give a valid token: --token, KEDGE_TOKEN or a saved context.",
  TIMEOUT: () => "Allow more time, or look at the controller's log for what it waits for.",
};

/** A newer server may send a reason this build does not know, and a broken one a reason that belies its code. */
function knownReason(detail: ErrorDetail | undefined, code: number): ErrorReason | undefined {
  if (detail === undefined || !isReason(detail.reason)) return undefined;
  return ErrorCode[ERROR_REASONS[detail.reason].code] === code ? detail.reason : undefined;
}

function isReason(value: string): value is ErrorReason {
  return Object.hasOwn(ERROR_REASONS, value);
}

function readDetail(metadata: Metadata | undefined): ErrorDetail | undefined {
  const bytes = metadata?.get(DETAIL_TRAILER)[0];
  if (!(bytes instanceof Buffer)) return undefined;
  try {
    return fromBinary(ErrorDetailSchema, bytes);
  } catch {
    // The status itself still says what happened.
    return undefined;
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** Lone surrogates cannot be percent-encoded. */
function clip(text: string, limit: number): string {
  return (text.length > limit ? `${text.slice(0, limit - 1)}…` : text).toWellFormed();
}

function clipDetails(details: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(details).slice(0, MAX_DETAILS);
  return Object.fromEntries(entries.map(([key, value]) => [clip(key, MAX_FIELD), clip(value, MAX_FIELD)]));
}
