import { compareSemver, parseSemver } from "@kedge/domain";
import { FlagComparison as Comparison, type FlagComparison, type FlagCondition } from "@kedge/proto";
import { attributeOf, type FlagAttributes } from "./attributes.ts";

/**
 * Tells whether a condition holds. Without the attribute none does, negated or not, so that nobody is reached about
 * whom too little is known.
 */
export function holds(condition: FlagCondition, attributes: FlagAttributes): boolean {
  const value = attributeOf(attributes, condition.attribute);
  if (condition.test.case === "exists") return (value !== undefined) !== condition.negated;
  if (value === undefined) return false;
  const fits = Array.isArray(value) ? value.some((item) => passes(condition, item)) : passes(condition, value);
  return fits !== condition.negated;
}

function passes({ test }: FlagCondition, value: unknown): boolean {
  switch (test.case) {
    case "in":
      return test.value.values.some(({ kind }) => kind.value === value);
    case "prefix":
      return anyText(test.value.texts, value, (text, part) => text.startsWith(part));
    case "suffix":
      return anyText(test.value.texts, value, (text, part) => text.endsWith(part));
    case "contains":
      return anyText(test.value.texts, value, (text, part) => text.includes(part));
    case "number":
      return typeof value === "number" && compares(test.value.comparison, value - test.value.number);
    case "semver": {
      const actual = typeof value === "string" ? parseSemver(value) : undefined;
      const wanted = parseSemver(test.value.version);
      if (actual === undefined || wanted === undefined) return false;
      return compares(test.value.comparison, compareSemver(actual, wanted));
    }
    case "exists":
      return true;
    case undefined:
      return false;
    default:
      return test satisfies never;
  }
}

function anyText(parts: readonly string[], value: unknown, fits: (text: string, part: string) => boolean): boolean {
  return typeof value === "string" && parts.some((part) => fits(value, part));
}

function compares(comparison: FlagComparison, difference: number): boolean {
  switch (comparison) {
    case Comparison.EQUAL:
      return difference === 0;
    case Comparison.LESS:
      return difference < 0;
    case Comparison.AT_MOST:
      return difference <= 0;
    case Comparison.GREATER:
      return difference > 0;
    case Comparison.AT_LEAST:
      return difference >= 0;
    case Comparison.UNSPECIFIED:
      return false;
    default:
      return comparison satisfies never;
  }
}
