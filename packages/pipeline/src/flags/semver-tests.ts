import { FlagComparison } from "@kedge/proto";

/** The signs of comparisons. */
export const COMPARISON_SIGNS = {
  ">=": FlagComparison.AT_LEAST,
  "<=": FlagComparison.AT_MOST,
  ">": FlagComparison.GREATER,
  "<": FlagComparison.LESS,
  "=": FlagComparison.EQUAL,
} as const;

/** A comparison with a version, which may be no version. */
export interface SemverTest {
  readonly comparison: FlagComparison;
  readonly version: string;
}

/** Reads ">=2.1.0 <3.0.0": comparisons apart by blanks, with or without a blank behind the sign; none means "=". */
export function readSemverTests(text: string): SemverTest[] {
  return [...text.matchAll(/(>=|<=|>|<|=)?\s*([^\s<>=]+|$)/g)].flatMap(([whole, sign = "=", version = ""]) =>
    whole === "" ? [] : [{ comparison: comparisonOf(sign), version }],
  );
}

function comparisonOf(sign: string): FlagComparison {
  return isSign(sign) ? COMPARISON_SIGNS[sign] : FlagComparison.EQUAL;
}

function isSign(text: string): text is keyof typeof COMPARISON_SIGNS {
  return Object.hasOwn(COMPARISON_SIGNS, text);
}
