import { type ErrorReason, errorMessage, isKedgeError, KedgeError } from "@kedge/domain";

/** What HTTP statuses of the Engine API mean here unless the caller knows better. */
const BY_STATUS: Readonly<Record<number, ErrorReason>> = {
  400: "INVALID_FIELD",
  401: "IMAGE_UNAVAILABLE",
  403: "PERMISSION_DENIED",
  404: "INVALID_FIELD",
  409: "CONFLICT",
  500: "INTERNAL",
  503: "DOCKER_UNAVAILABLE",
};

const UNREACHABLE = new Set(["ECONNREFUSED", "ENOENT", "EACCES", "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTFOUND"]);

/** The HTTP status of an answer of the engine; undefined when there was no answer. */
export function dockerStatus(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("statusCode" in error)) return undefined;
  return typeof error.statusCode === "number" ? error.statusCode : undefined;
}

/** The engine's own words, without the client's preamble. */
export function dockerMessage(error: unknown): string {
  if (error instanceof Error && "json" in error) {
    const json = error.json;
    if (typeof json === "object" && json !== null && "message" in json) return String(json.message);
  }
  return errorMessage(error)
    .replace(/^\(HTTP code \d+\) [a-z ]+ - /, "")
    .trim();
}

/** Every error of the engine or of the way to it becomes one of ours here, by status or errno. */
export function mapDockerError(error: unknown, doing: string, field?: string): KedgeError {
  if (isKedgeError(error)) return error;
  const options = { cause: error, ...(field === undefined ? {} : { field }) };
  if (error instanceof Error && error.name === "AbortError") {
    return new KedgeError("CANCELLED", `${doing}: cancelled`, options);
  }
  const status = dockerStatus(error);
  if (status !== undefined) {
    return new KedgeError(BY_STATUS[status] ?? "INTERNAL", `${doing}: ${dockerMessage(error)}`, options);
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!UNREACHABLE.has(code)) return new KedgeError("INTERNAL", `${doing}: ${dockerMessage(error)}`, options);
  return new KedgeError("DOCKER_UNAVAILABLE", `${doing}: the Docker Engine does not answer (${code})`, {
    ...options,
    hint: "check that dockerd runs and that its socket may be used",
  });
}

/** Runs a call of the engine and maps its error; an answer with one of the `fine` statuses counts as undefined. */
export async function callDocker<T>(
  doing: string,
  call: () => Promise<T>,
  fine: readonly number[] = [],
): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    const status = dockerStatus(error);
    if (status !== undefined && fine.includes(status)) return undefined;
    throw mapDockerError(error, doing);
  }
}
