import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Flag, FlagComparison, type FlagCondition, type FlagRule, FlagType } from "@kedge/proto";
import { stringify } from "yaml";
import { COMPARISON_SIGNS } from "./semver-tests.ts";

const TYPES: Readonly<Record<FlagType, string>> = {
  [FlagType.UNSPECIFIED]: "boolean",
  [FlagType.BOOLEAN]: "boolean",
  [FlagType.STRING]: "string",
  [FlagType.NUMBER]: "number",
  [FlagType.JSON]: "json",
};
const NUMBER_KEYS: Readonly<Record<FlagComparison, string>> = {
  [FlagComparison.UNSPECIFIED]: "equals",
  [FlagComparison.EQUAL]: "equals",
  [FlagComparison.GREATER]: "above",
  [FlagComparison.AT_LEAST]: "at-least",
  [FlagComparison.LESS]: "below",
  [FlagComparison.AT_MOST]: "at-most",
};

type Tests = Record<string, JsonValue>;

/** A flag as the file that `parseFlag` reads back to the same flag, but for what the controller sets. */
export function formatFlag(flag: Flag): string {
  const variants = Object.entries(flag.variants).map(([name, value]) => [name, toJson(ValueSchema, value)]);
  const tree = {
    flag: flag.name,
    type: TYPES[flag.type],
    ...(flag.description === "" ? {} : { description: flag.description }),
    variants: Object.fromEntries(variants),
    default: flag.defaultVariant,
    enabled: !flag.disabled,
    ...(flag.offVariant === "" ? {} : { "when-off": flag.offVariant }),
    ...(flag.rules.length === 0 ? {} : { rules: flag.rules.map(formatRule) }),
  };
  return stringify(tree, { lineWidth: 0, aliasDuplicateObjects: false });
}

function formatRule({ name, conditions, serve }: FlagRule) {
  const when = formatConditions(conditions);
  const [first = {}] = when;
  return {
    name,
    ...(when.length === 0 ? {} : { when: when.length === 1 ? first : when }),
    ...(serve.case === "variant" ? { serve: serve.value } : {}),
    ...(serve.case === "split" ? formatSplit(serve.value) : {}),
  };
}

function formatSplit({ shares, by, salt }: Extract<FlagRule["serve"], { case: "split" }>["value"]) {
  return {
    split: Object.fromEntries(shares.map(({ variant, basisPoints }) => [variant, basisPoints / 100])),
    ...(by === "" ? {} : { by }),
    ...(salt === "" ? {} : { salt }),
  };
}

/** One mapping a condition, so that their order stays and two of an attribute are no trouble. */
function formatConditions(conditions: readonly FlagCondition[]): Record<string, Tests>[] {
  const isPlain = new Set(conditions.map(({ attribute }) => attribute)).size === conditions.length;
  const each = conditions.map((condition) => ({ [condition.attribute]: formatCondition(condition) }));
  return isPlain && each.length > 0 ? [Object.assign({}, ...each)] : each;
}

function formatCondition({ test, negated }: FlagCondition): Tests {
  if (test.case === "exists") return { exists: !negated };
  return negated ? { not: formatTest(test) } : formatTest(test);
}

function formatTest(test: FlagCondition["test"]): Tests {
  switch (test.case) {
    case "in":
      return { in: test.value.values.map((value) => toJson(ValueSchema, value)) };
    case "prefix":
    case "suffix":
    case "contains":
      return { [test.case]: test.value.texts };
    case "number":
      return { [NUMBER_KEYS[test.value.comparison]]: test.value.number };
    case "semver":
      return { semver: `${signOf(test.value.comparison)}${test.value.version}` };
    case "exists":
    case undefined:
      return {};
    default:
      return test satisfies never;
  }
}

function signOf(comparison: FlagComparison): string {
  return Object.entries(COMPARISON_SIGNS).find(([, each]) => each === comparison)?.[0] ?? "";
}
