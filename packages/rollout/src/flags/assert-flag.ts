import { toBinary } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { assertName, isFlagLabel, KedgeError, parseSemver } from "@kedge/domain";
import { type Flag, FlagComparison, type FlagCondition, type FlagRule, FlagSchema, type FlagSplit } from "@kedge/proto";
import { PLACES } from "./places.ts";
import { valueKinds } from "./typed-value.ts";

/** Bounds on one flag. */
export const FLAG_LIMITS = {
  /** Encoded, places included. */
  bytes: 64 * 1024,
  variants: 64,
  rules: 100,
  conditions: 50,
  values: 1000,
  description: 1000,
  attribute: 256,
} as const;

/**
 * Rejects a flag that cannot be evaluated as it says.
 *
 * @throws KedgeError INVALID_FIELD naming the field; TOO_LARGE.
 */
export function assertFlag(flag: Flag): void {
  assertName("flag", flag.name, "flag.name");
  assertVariants(flag);
  const { variants, defaultVariant, offVariant, rules, description } = flag;
  assertVariant(variants, defaultVariant, "flag.default_variant");
  if (offVariant !== "") assertVariant(variants, offVariant, "flag.off_variant");
  if (description.length > FLAG_LIMITS.description) {
    throw invalid("flag.description", `must have at most ${FLAG_LIMITS.description} characters`);
  }
  assertCount("flag.rules", rules.length, 0, FLAG_LIMITS.rules);
  const names = new Set<string>();
  for (const [i, rule] of rules.entries()) {
    const field = `flag.rules[${i}]`;
    if (!isFlagLabel(rule.name)) throw invalid(`${field}.name`, `must be a name, not ${quote(rule.name)}`);
    if (names.has(rule.name)) throw invalid(`${field}.name`, `is ${quote(rule.name)}, as another rule's`);
    names.add(rule.name);
    assertRule(rule, variants, field);
  }
  const bytes = toBinary(FlagSchema, flag).byteLength;
  if (bytes <= FLAG_LIMITS.bytes) return;
  const message = `flag ${flag.name} would have ${bytes} bytes, ${FLAG_LIMITS.bytes} are allowed`;
  throw new KedgeError("TOO_LARGE", message, { field: "flag" });
}

function assertVariants({ type, variants }: Flag): void {
  const { name: wanted, kinds } = valueKinds(type);
  if (kinds.length === 0) throw invalid("flag.type", "is missing");
  assertCount("flag.variants", Object.keys(variants).length, 1, FLAG_LIMITS.variants);
  for (const [name, { kind }] of Object.entries(variants)) {
    const field = `flag.variants.${name.slice(0, 80)}`;
    if (!isFlagLabel(name)) throw invalid(field, `must be named otherwise than ${quote(name)}`);
    if (!kinds.includes(kind.case) || !isFiniteKind(kind)) throw invalid(field, `must be a ${wanted}`);
  }
}

function isFiniteKind(kind: Value["kind"]): boolean {
  return kind.case !== "numberValue" || Number.isFinite(kind.value);
}

function assertRule({ conditions, serve }: FlagRule, variants: Flag["variants"], field: string): void {
  assertCount(`${field}.conditions`, conditions.length, 0, FLAG_LIMITS.conditions);
  for (const [i, condition] of conditions.entries()) assertCondition(condition, `${field}.conditions[${i}]`);
  switch (serve.case) {
    case "variant":
      assertVariant(variants, serve.value, `${field}.variant`);
      break;
    case "split":
      assertSplit(serve.value, variants, `${field}.split`);
      break;
    case undefined:
      throw invalid(field, "must serve a variant or a split");
    default:
      serve satisfies never;
  }
}

function assertSplit({ shares, by, salt }: FlagSplit, variants: Flag["variants"], field: string): void {
  assertCount(`${field}.shares`, shares.length, 1, FLAG_LIMITS.variants);
  if (by !== "") assertAttribute(by, `${field}.by`);
  if (salt !== "" && !isFlagLabel(salt)) throw invalid(`${field}.salt`, `must be a name, not ${quote(salt)}`);
  for (const [i, { variant }] of shares.entries()) assertVariant(variants, variant, `${field}.shares[${i}].variant`);
  if (new Set(shares.map(({ variant }) => variant)).size < shares.length) {
    throw invalid(`${field}.shares`, "must name each variant once");
  }
  const sum = shares.reduce((total, { basisPoints }) => total + basisPoints, 0);
  if (sum !== PLACES) throw invalid(`${field}.shares`, `must make 100 % together, not ${sum / 100} %`);
}

function assertCondition({ attribute, test }: FlagCondition, field: string): void {
  assertAttribute(attribute, `${field}.attribute`);
  switch (test.case) {
    case "in":
      assertCount(`${field}.in`, test.value.values.length, 1, FLAG_LIMITS.values);
      if (test.value.values.every(isScalar)) return;
      throw invalid(`${field}.in`, "must hold texts, numbers and booleans only");
    case "prefix":
    case "suffix":
    case "contains":
      assertCount(`${field}.${test.case}`, test.value.texts.length, 1, FLAG_LIMITS.values);
      if (!test.value.texts.includes("")) return;
      throw invalid(`${field}.${test.case}`, "must not hold the empty text, which fits everything");
    case "number":
      assertComparison(test.value.comparison, `${field}.number`);
      if (!Number.isFinite(test.value.number)) throw invalid(`${field}.number`, "must be a finite number");
      return;
    case "semver":
      assertComparison(test.value.comparison, `${field}.semver`);
      if (parseSemver(test.value.version) !== undefined) return;
      throw invalid(`${field}.semver`, `must be a version such as 2.1.0, not ${quote(test.value.version)}`);
    case "exists":
      if (!test.value) throw invalid(`${field}.exists`, "must be true; negate the condition instead");
      return;
    case undefined:
      throw invalid(field, "has no test");
    default:
      test satisfies never;
  }
}

function isScalar({ kind }: Value): boolean {
  const isPlain = kind.case === "stringValue" || kind.case === "boolValue" || kind.case === "numberValue";
  return isPlain && isFiniteKind(kind);
}

function assertComparison(comparison: FlagComparison, field: string): void {
  if (comparison === FlagComparison.UNSPECIFIED) throw invalid(`${field}.comparison`, "is missing");
}

function assertAttribute(attribute: string, field: string): void {
  if (attribute !== "" && attribute.length <= FLAG_LIMITS.attribute) return;
  throw invalid(field, `must have 1 to ${FLAG_LIMITS.attribute} characters`);
}

function assertVariant(variants: Flag["variants"], variant: string, field: string): void {
  if (Object.hasOwn(variants, variant)) return;
  throw invalid(field, `must be one of the variants (${Object.keys(variants).join(", ")}), not ${quote(variant)}`);
}

function assertCount(field: string, count: number, least: number, most: number): void {
  if (count >= least && count <= most) return;
  throw invalid(field, `must have ${least} to ${most} entries, not ${count}`);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}

function invalid(field: string, problem: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `${field} ${problem}`, { field });
}
