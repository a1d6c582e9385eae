import { create } from "@bufbuild/protobuf";
import { type LabelConstraint, LabelConstraintSchema, LabelConstraint_Operator as Operator } from "@kedge/proto";
import { quote } from "./finding.ts";

/** A condition that was read, or why it could not be; `problem` reads on from "must". */
export type Condition = { readonly constraint: LabelConstraint } | { readonly problem: string; readonly hint?: string };

const MAX_VALUES = 50;
const LABEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;
const NUMBER = /^-?\d{1,15}(?:\.\d{1,6})?$/;
const FORMS = "e.g. zone = eu, zone in (eu, us), zone not in (eu, us), gpu-memory >= 40, ssd or !spot";

const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ["=", Operator.IN],
  ["!=", Operator.NOT_IN],
  [">=", Operator.AT_LEAST],
  ["<=", Operator.AT_MOST],
]);
const MENDED: ReadonlyMap<string, string> = new Map([
  ["==", "="],
  [">", ">="],
  ["<", "<="],
  ["notin", "not in"],
]);

/** Tells whether text can be a label's name, a taint or the name of a custom resource. */
export function isLabelName(value: string): boolean {
  return LABEL.test(value);
}

/** Tells whether a label's value is a decimal number, which `>=` and `<=` compare. */
export function isDecimal(value: string): boolean {
  return NUMBER.test(value);
}

/**
 * Reads a condition on a node's label. `zone = eu`, `zone != eu`, `zone in (eu, us)` and `zone not in (eu, us)` ask for
 * its value, `gpu-memory >= 40` and `gpu-memory <= 80` for its size, `ssd` for its presence, `!spot` for its absence.
 */
export function parseCondition(text: string): Condition {
  const tokens = text.match(/[(),]|[<>=!]=?|[^\s(),<>=!]+/g) ?? [];
  const isAbsence = tokens[0] === "!";
  const [label = "", operator, ...rest] = isAbsence ? tokens.slice(1) : tokens;
  if (!isLabelName(label)) return { problem: `be a condition on a label, not ${quote(text)}`, hint: FORMS };
  if (isAbsence) return operator === undefined ? made(label, Operator.NOT_EXISTS) : unreadable(text);
  if (operator === undefined) return made(label, Operator.EXISTS);
  if (operator === "in") return list(label, Operator.IN, rest);
  if (operator === "not" && rest[0] === "in") return list(label, Operator.NOT_IN, rest.slice(1));
  const mended = MENDED.get(operator);
  if (mended !== undefined) return { problem: `not use ${operator}`, hint: `write ${label} ${mended} ...` };
  const known = OPERATORS.get(operator);
  return known === undefined ? unreadable(text) : comparison({ label, operator: known, values: rest, text });
}

function comparison(parts: { label: string; operator: Operator; values: string[]; text: string }): Condition {
  const { label, operator, values, text } = parts;
  const [value] = values;
  if (value === undefined || values.length > 1) return unreadable(text);
  const isOrder = operator === Operator.AT_LEAST || operator === Operator.AT_MOST;
  if (isOrder && !isDecimal(value)) {
    const hint = `labels are compared as plain decimal numbers, e.g. ${label} >= 40`;
    return { problem: `compare ${label} with a number, not ${quote(value)}`, hint };
  }
  if (!isOrder && !isLabelName(value)) return badValue(value);
  return made(label, operator, [value]);
}

function list(label: string, operator: Operator, tokens: readonly string[]): Condition {
  const word = operator === Operator.IN ? "in" : "not in";
  if (tokens[0] !== "(") {
    const example = tokens[0] !== undefined && isLabelName(tokens[0]) ? tokens[0] : "eu, us";
    return { problem: "list its values in parentheses", hint: `write ${label} ${word} (${example})` };
  }
  if (tokens.indexOf(")") !== tokens.length - 1) {
    return {
      problem: "end with the list's closing parenthesis",
      hint: "inside of [ ] put the condition in quotes; a comma ends it there",
    };
  }
  const values = tokens.slice(1, -1).filter((_, i) => i % 2 === 0);
  const isSeparated = tokens.slice(1, -1).every((token, i) => (token === ",") === (i % 2 === 1));
  if (values.length === 0 || !isSeparated || tokens.length % 2 === 0) {
    return { problem: "list values with commas between them", hint: `write ${label} ${word} (eu, us)` };
  }
  const bad = values.find((value) => !isLabelName(value));
  if (bad !== undefined) return badValue(bad);
  const twice = values.find((value, i) => values.indexOf(value) !== i);
  if (twice !== undefined) return { problem: `name each value once; ${quote(twice)} is there twice` };
  return values.length > MAX_VALUES ? { problem: `name at most ${MAX_VALUES} values` } : made(label, operator, values);
}

function made(label: string, operator: Operator, values: string[] = []): Condition {
  return { constraint: create(LabelConstraintSchema, { label, operator, values }) };
}

function badValue(value: string): Condition {
  return { problem: `compare with a label value, e.g. eu-1, not ${quote(value)}` };
}

function unreadable(text: string): Condition {
  return { problem: `be one condition, not ${quote(text)}`, hint: FORMS };
}

/** A condition as `parseCondition` reads it. */
export function formatCondition({ label, operator, values }: LabelConstraint): string {
  const [first = ""] = values;
  switch (operator) {
    case Operator.IN:
      return values.length === 1 ? `${label} = ${first}` : `${label} in (${values.join(", ")})`;
    case Operator.NOT_IN:
      return values.length === 1 ? `${label} != ${first}` : `${label} not in (${values.join(", ")})`;
    case Operator.NOT_EXISTS:
      return `!${label}`;
    case Operator.AT_LEAST:
      return `${label} >= ${first}`;
    case Operator.AT_MOST:
      return `${label} <= ${first}`;
    case Operator.EXISTS:
    case Operator.UNSPECIFIED:
      return label;
    default:
      return operator satisfies never;
  }
}
