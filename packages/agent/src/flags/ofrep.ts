import type { FlagAttributes, FlagOutcome, FlagSet } from "@kedge/rollout/flags";

/** An answer over HTTP: status and JSON. */
export interface OfrepAnswer {
  readonly status: number;
  readonly body: object;
}

const BAD_REQUEST = 400;
const NOT_FOUND = 404;
const UNAVAILABLE = 503;

/** What is asked, or the answer to a request that is none. */
export type OfrepQuestion = { readonly attributes: FlagAttributes } | { readonly refused: OfrepAnswer };

/**
 * Reads the body of an evaluation request of the OpenFeature Remote Evaluation Protocol
 * (github.com/open-feature/protocol, service/openapi.yaml). No body and no context are an empty context.
 *
 * @param key the flag that is asked for; undefined: all.
 * @param own attributes of the node; the caller's count more.
 */
export function readQuestion(text: string, own: FlagAttributes, key?: string): OfrepQuestion {
  const refuse = (errorCode: string, errorDetails: string): OfrepQuestion => ({
    refused: { status: BAD_REQUEST, body: { ...(key === undefined ? {} : { key }), errorCode, errorDetails } },
  });
  let parsed: unknown;
  try {
    parsed = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    return refuse("PARSE_ERROR", "the body is not JSON");
  }
  if (!isMapping(parsed)) return refuse("PARSE_ERROR", "the body must be an object with a context");
  const context = parsed["context"] ?? {};
  if (!isMapping(context)) return refuse("INVALID_CONTEXT", "the context must be an object");
  return { attributes: { ...own, ...context } };
}

/** Answers for one flag. */
export function answerOne(set: FlagSet | undefined, key: string, attributes: FlagAttributes): OfrepAnswer {
  if (set === undefined) return notReady();
  const outcome = set.evaluate(key, attributes);
  if (outcome.errorCode === undefined) return { status: 200, body: success(key, outcome) };
  const status = outcome.errorCode === "FLAG_NOT_FOUND" ? NOT_FOUND : BAD_REQUEST;
  return { status, body: failure(key, outcome) };
}

/** Answers for all flags; those that cannot be evaluated say why. */
export function answerAll(set: FlagSet | undefined, attributes: FlagAttributes): OfrepAnswer {
  if (set === undefined) return notReady();
  const flags = [...set.names].map((key) => {
    const outcome = set.evaluate(key, attributes);
    return outcome.errorCode === undefined ? success(key, outcome) : failure(key, outcome);
  });
  return { status: 200, body: { flags } };
}

/** A value that is left out stands for the caller's own default. */
function success(key: string, { value, variant, reason, rule }: FlagOutcome): object {
  return { key, value, variant, reason, ...(rule === undefined ? {} : { metadata: { rule } }) };
}

function failure(key: string, { errorCode, errorMessage }: FlagOutcome): object {
  return { key, errorCode, errorDetails: errorMessage };
}

function notReady(): OfrepAnswer {
  const errorDetails = "the node has not had any flags from its controller yet";
  return { status: UNAVAILABLE, body: { errorCode: "PROVIDER_NOT_READY", errorDetails } };
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
