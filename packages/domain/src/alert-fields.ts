// The rules of single fields of an alert policy, for the file that holds one and for the API that takes one. Each
// returns what the text must be, to read on from "must be", or undefined when it is that.

/** What stands in place of a secret that is not shown; given back, it means: as it is. */
export const REDACTED = "<redacted>";

const MAX_URL = 2_000;
const MAX_HEADER_VALUE = 2_000;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_|~-]{1,80}$/;
const HEADER_VALUE = /^[\u0020-\u007e]*[\u0021-\u007e][\u0020-\u007e]*$/;
/** Base64 of 24 to 64 bytes. */
const SIGNING_SECRET = /^whsec_[A-Za-z0-9+/]{32,86}={0,2}$/;
const PATTERN = /^[a-z0-9*-]{1,80}$/;

/** Headers that the sender makes itself, or that would change what the request is. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "__proto__",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "webhook-id",
  "webhook-signature",
  "webhook-timestamp",
]);

/** Where alerts are posted to. A redacted address passes. */
export function urlProblem(text: string): string | undefined {
  const expected = "an http or https address without user, password and fragment";
  if (text.length > MAX_URL || /\s/.test(text) || !URL.canParse(text)) return expected;
  const { protocol, username, password, hash } = new URL(text);
  const isWeb = protocol === "https:" || protocol === "http:";
  return isWeb && username === "" && password === "" && hash === "" ? undefined : expected;
}

/** An address that paths are put after. */
export function baseUrlProblem(text: string): string | undefined {
  const problem = urlProblem(text);
  if (problem !== undefined) return problem;
  return text.includes("?") ? "an http or https address without a query" : undefined;
}

/** A webhook's signing secret, as Standard Webhooks writes it. */
export function signingSecretProblem(text: string): string | undefined {
  if (text === REDACTED || (SIGNING_SECRET.test(text) && text.slice("whsec_".length).length % 4 === 0))
    return undefined;
  return '"whsec_" and the base64 of 24 to 64 bytes';
}

/** The name of a further header. */
export function headerNameProblem(name: string): string | undefined {
  if (OWN_HEADERS.has(name.toLowerCase())) return "a header that Kedge does not make itself";
  return HEADER_NAME.test(name) ? undefined : "the name of an HTTP header";
}

/** The value of a further header. */
export function headerValueProblem(value: string): string | undefined {
  if (value.length <= MAX_HEADER_VALUE && HEADER_VALUE.test(value)) return undefined;
  return `1 to ${MAX_HEADER_VALUE} printable ASCII characters`;
}

/** Which deployments or nodes are meant. */
export function patternProblem(pattern: string): string | undefined {
  return PATTERN.test(pattern) ? undefined : 'a name in which "*" may stand for anything';
}
