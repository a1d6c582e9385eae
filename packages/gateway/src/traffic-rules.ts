import { KedgeError } from "@kedge/domain";

/** Where a value of a request comes from. Header names are compared without case, cookie names with it. */
export interface RequestValue {
  readonly source: "header" | "cookie";
  readonly name: string;
}

/** Sends requests whose value is, or begins with, one of these to a revision, before the split. */
export interface MatchRule extends RequestValue {
  readonly kind: "exact" | "prefix";
  /** At least one. Compared byte by byte with the UTF-8 of these. */
  readonly values: readonly string[];
  readonly revision: number;
}

/** The split goes by a hash of this value, so that a user stays with a revision. Requests without it go by chance. */
export interface StickyKey extends RequestValue {
  /** The same on all nodes, and secret: who knows it can choose a revision. Letters and digits, at most 32. */
  readonly salt: string;
}

/** Copies a share of the requests to a revision, whose answers are compared and dropped. */
export interface Mirror {
  readonly revision: number;
  readonly basisPoints: number;
}

/** What a route asks for besides its split. */
export interface TrafficRules {
  /** The first that matches decides. One whose revision has no ready replica here is passed over. */
  readonly matches?: readonly MatchRule[];
  readonly sticky?: StickyKey | undefined;
  readonly mirror?: Mirror | undefined;
  /** Revision that requests with header `kedge-revision: <number>` reach, whatever its share. */
  readonly previewRevision?: number | undefined;
}

/** Most values of all match rules of a deployment. */
const MOST_VALUES = 64;
const MOST_VALUE_BYTES = 128;
const NAME = /^[\w!#$%&'*+.^`|~-]{1,64}$/;
const SALT = /^[A-Za-z0-9]{1,32}$/;
const LARGEST_REVISION = 4_294_967_295;

/**
 * Checks rules before they go anywhere near HAProxy. Values may hold anything that a header can hold; line ends and
 * other control characters cannot be in one.
 *
 * @throws KedgeError INVALID_FIELD
 */
export function assertTrafficRules(rules: TrafficRules): void {
  const { matches = [], sticky, mirror, previewRevision } = rules;
  if (matches.reduce((sum, { values }) => sum + values.length, 0) > MOST_VALUES) {
    throw invalid("matches", `more than ${MOST_VALUES} values`);
  }
  for (const rule of matches) assertMatch(rule);
  if (sticky) assertName("sticky.name", sticky);
  if (sticky && !SALT.test(sticky.salt)) throw invalid("sticky.salt", "expected 1 to 32 letters and digits");
  if (mirror) {
    assertRevision("mirror.revision", mirror.revision);
    assertWithin("mirror.basisPoints", mirror.basisPoints, 10_000);
  }
  if (previewRevision !== undefined) assertRevision("previewRevision", previewRevision);
}

function assertMatch(rule: MatchRule): void {
  assertName("matches.name", rule);
  assertRevision("matches.revision", rule.revision);
  if (rule.values.length === 0) throw invalid("matches.values", "empty");
  for (const value of rule.values) {
    const bytes = Buffer.byteLength(value);
    if (bytes === 0 || bytes > MOST_VALUE_BYTES)
      throw invalid("matches.values", `expected 1 to ${MOST_VALUE_BYTES} bytes`);
    if (hasControlCharacter(value)) throw invalid("matches.values", "a header holds no control characters");
  }
}

function assertName(field: string, { name }: RequestValue): void {
  if (!NAME.test(name))
    throw invalid(field, `${JSON.stringify(name.slice(0, 80))} is not the name of a header or cookie`);
}

function assertRevision(field: string, revision: number): void {
  assertWithin(field, revision, LARGEST_REVISION);
}

function assertWithin(field: string, value: number, largest: number): void {
  if (!Number.isInteger(value) || value < 1 || value > largest) {
    throw invalid(field, `expected a whole number from 1 to ${largest}, got ${value}`);
  }
}

function hasControlCharacter(value: string): boolean {
  return Buffer.from(value).some((byte) => byte < 0x20 || byte === 0x7f);
}

function invalid(field: string, what: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `${field}: ${what}`, { field });
}
