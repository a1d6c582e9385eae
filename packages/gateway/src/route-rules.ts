import { isFieldName, KedgeError } from "@kedge/domain";
import { MatchKind, type RequestKey, type RequestMatch, RequestSource, type Route } from "@kedge/proto";

/** What a route asks for besides its split. */
export type RouteRules = Pick<Route, "matches" | "sticky" | "mirrors" | "previewRevision">;

/** Most values of all matches of a route. */
const MOST_VALUES = 64;
const MOST_VALUE_BYTES = 128;
const SALT = /^[A-Za-z0-9]{1,32}$/;
const WHOLE = 10_000;

/**
 * Checks a route's rules before they go anywhere near HAProxy. Values may hold anything that a header can hold; line
 * ends and other control characters cannot be in one.
 *
 * @throws KedgeError INVALID_FIELD
 */
export function assertRouteRules({ matches, sticky, mirrors }: RouteRules): void {
  const values = matches.flatMap(({ match }) => match?.values ?? []);
  if (values.length > MOST_VALUES) throw invalid("matches.values", `more than ${MOST_VALUES}`);
  for (const { match } of matches) assertMatch(match);
  if (sticky) {
    assertKey("sticky.key", sticky.key);
    if (!SALT.test(sticky.salt)) throw invalid("sticky.salt", "expected 1 to 32 letters and digits");
  }
  const mirrored = mirrors.reduce((sum, { basisPoints }) => sum + basisPoints, 0);
  if (mirrored > WHOLE) throw invalid("mirrors.basis_points", `add up to more than ${WHOLE}`);
}

function assertMatch(match: RequestMatch | undefined): void {
  assertKey("matches.key", match?.key);
  if (match?.kind !== MatchKind.EXACT && match?.kind !== MatchKind.PREFIX) throw invalid("matches.kind", "not known");
  if (match.values.length === 0) throw invalid("matches.values", "empty");
  for (const value of match.values) {
    const bytes = Buffer.from(value);
    if (bytes.length === 0 || bytes.length > MOST_VALUE_BYTES) {
      throw invalid("matches.values", `expected 1 to ${MOST_VALUE_BYTES} bytes`);
    }
    if (bytes.some((byte) => byte < 0x20 || byte === 0x7f)) {
      throw invalid("matches.values", "a header holds no control characters");
    }
  }
}

function assertKey(field: string, key: RequestKey | undefined): void {
  if (key?.source !== RequestSource.HEADER && key?.source !== RequestSource.COOKIE) {
    throw invalid(`${field}.source`, "expected a header or a cookie");
  }
  if (!isFieldName(key.name)) {
    throw invalid(`${field}.name`, `${JSON.stringify(key.name.slice(0, 80))} is not the name of a header or cookie`);
  }
}

function invalid(field: string, what: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `${field}: ${what}`, { field });
}
