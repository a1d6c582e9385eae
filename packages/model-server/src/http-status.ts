import { type ErrorCodeName, isKedgeError, KedgeError } from "@kedge/domain";
import type { FastifyError } from "fastify";

const STATUS: Partial<Record<ErrorCodeName, number>> = {
  INVALID_ARGUMENT: 400,
  NOT_FOUND: 404,
  CANCELLED: 499,
  RESOURCE_EXHAUSTED: 503,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
};
const TOO_LARGE = 413;
const INTERNAL = 500;

/** The HTTP status of an error. */
export function httpStatus(error: KedgeError): number {
  return error.reason === "TOO_LARGE" ? TOO_LARGE : (STATUS[error.code] ?? INTERNAL);
}

/** Anything thrown while a request was handled, as a KedgeError; the web framework's errors by their code. */
export function toKedgeError(error: unknown): KedgeError {
  if (isKedgeError(error)) return error;
  const { code, statusCode } = error as Partial<FastifyError>;
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return new KedgeError("TOO_LARGE", "the request body is larger than this server's limit", { cause: error });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < INTERNAL) {
    return new KedgeError("INVALID_FIELD", "the HTTP request is malformed", { cause: error });
  }
  return new KedgeError("INTERNAL", "the server failed; its log has the details", { cause: error });
}
