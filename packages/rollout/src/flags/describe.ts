import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { FlagComparison, type FlagCondition, type FlagRule, type FlagSplit } from "@kedge/proto";
import { TARGETING_KEY } from "./attributes.ts";

const COMPARISONS: Readonly<Record<FlagComparison, string>> = {
  [FlagComparison.UNSPECIFIED]: "?",
  [FlagComparison.EQUAL]: "=",
  [FlagComparison.LESS]: "<",
  [FlagComparison.AT_MOST]: "<=",
  [FlagComparison.GREATER]: ">",
  [FlagComparison.AT_LEAST]: ">=",
};
const MAX_SHOWN = 5;

/** A condition in words: `plan in "pro", "team"`. */
export function describeCondition({ attribute, negated, test }: FlagCondition): string {
  const not = negated ? "not " : "";
  switch (test.case) {
    case "in":
      return `${attribute} ${not}in ${list(test.value.values.map((value) => toJson(ValueSchema, value)))}`;
    case "prefix":
      return `${attribute} ${not}begins with ${list(test.value.texts)}`;
    case "suffix":
      return `${attribute} ${not}ends with ${list(test.value.texts)}`;
    case "contains":
      return `${attribute} ${not}contains ${list(test.value.texts)}`;
    case "number":
      return `${attribute} ${not}${COMPARISONS[test.value.comparison]} ${test.value.number}`;
    case "semver":
      return `${attribute} ${not}${COMPARISONS[test.value.comparison]} version ${test.value.version}`;
    case "exists":
      return `${attribute} is ${negated ? "absent" : "there"}`;
    case undefined:
      return `${attribute} without a test`;
    default:
      return test satisfies never;
  }
}

/** What a rule serves, in words: `on`, or `on 20 %, off 80 % by user`. */
export function describeServe({ serve }: FlagRule): string {
  if (serve.case === "variant") return serve.value;
  return serve.case === "split" ? describeSplit(serve.value) : "nothing";
}

/** A rule in words: for whom, then what. */
export function describeRule(rule: FlagRule): string {
  const whom = rule.conditions.length === 0 ? "everybody" : rule.conditions.map(describeCondition).join(" and ");
  return `${whom}: ${describeServe(rule)}`;
}

function describeSplit({ shares, by }: FlagSplit): string {
  const parts = shares.map(({ variant, basisPoints }) => `${variant} ${basisPoints / 100} %`);
  return `${parts.join(", ")} by ${by || TARGETING_KEY}`;
}

function list(values: readonly JsonValue[]): string {
  const shown = values.slice(0, MAX_SHOWN).map((value) => JSON.stringify(value));
  const rest = values.length - shown.length;
  return rest > 0 ? `${shown.join(", ")} and ${rest} more` : shown.join(", ");
}
