import { create } from "@bufbuild/protobuf";
import { type LabelConstraint, LabelConstraintSchema, LabelConstraint_Operator as Operator } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatCondition, parseCondition } from "./conditions.ts";
import { firstContradiction } from "./contradictions.ts";

const FORMS = "e.g. zone = eu, zone in (eu, us), zone not in (eu, us), gpu-memory >= 40, ssd or !spot";

const constraint = (label: string, operator: Operator, ...values: string[]): LabelConstraint =>
  create(LabelConstraintSchema, { label, operator, values });

describe("parseCondition", () => {
  it.each<[string, LabelConstraint]>([
    ["zone = eu", constraint("zone", Operator.IN, "eu")],
    ["zone=eu", constraint("zone", Operator.IN, "eu")],
    ["  zone   =  eu-1.b ", constraint("zone", Operator.IN, "eu-1.b")],
    ["zone != eu", constraint("zone", Operator.NOT_IN, "eu")],
    ["zone in (eu, us)", constraint("zone", Operator.IN, "eu", "us")],
    ["zone in(eu,us)", constraint("zone", Operator.IN, "eu", "us")],
    ["example.org/rack not in (r1)", constraint("example.org/rack", Operator.NOT_IN, "r1")],
    ["gpu-memory >= 40", constraint("gpu-memory", Operator.AT_LEAST, "40")],
    ["t<=-3.5", constraint("t", Operator.AT_MOST, "-3.5")],
    ["ssd", constraint("ssd", Operator.EXISTS)],
    ["!spot", constraint("spot", Operator.NOT_EXISTS)],
    ["in in (in, not)", constraint("in", Operator.IN, "in", "not")],
  ])("reads %j", (text, expected) => {
    expect(parseCondition(text)).toEqual({ constraint: expected });
  });

  it.each<[string, string, string?]>([
    ["", 'be a condition on a label, not ""', FORMS],
    ["= eu", 'be a condition on a label, not "= eu"', FORMS],
    ["!", 'be a condition on a label, not "!"', FORMS],
    ["!spot = 1", 'be one condition, not "!spot = 1"', FORMS],
    ["zone eu", 'be one condition, not "zone eu"', FORMS],
    ["zone =", 'be one condition, not "zone ="', FORMS],
    ["zone = eu us", 'be one condition, not "zone = eu us"', FORMS],
    ["zone = -eu", 'compare with a label value, e.g. eu-1, not "-eu"'],
    ["zone == eu", "not use ==", "write zone = ..."],
    ["size > 4", "not use >", "write size >= ..."],
    ["size < 4", "not use <", "write size <= ..."],
    ["zone notin (eu)", "not use notin", "write zone not in ..."],
    [
      "size >= 40Gi",
      'compare size with a number, not "40Gi"',
      "labels are compared as plain decimal numbers, e.g. size >= 40",
    ],
    ["zone in eu", "list its values in parentheses", "write zone in (eu)"],
    ["zone not in", "list its values in parentheses", "write zone not in (eu, us)"],
    [
      "zone in (eu",
      "end with the list's closing parenthesis",
      "inside of [ ] put the condition in quotes; a comma ends it there",
    ],
    ["zone in ()", "list values with commas between them", "write zone in (eu, us)"],
    ["zone in (eu us)", "list values with commas between them", "write zone in (eu, us)"],
    ["zone in (eu,)", "list values with commas between them", "write zone in (eu, us)"],
    ["zone in (eu, .us)", 'compare with a label value, e.g. eu-1, not ".us"'],
    ["zone in (eu, us, eu)", 'name each value once; "eu" is there twice'],
    [`zone in (${Array.from({ length: 51 }, (_, i) => i).join(",")})`, "name at most 50 values"],
  ])("refuses %j", (text, problem, hint) => {
    expect(parseCondition(text)).toEqual(hint === undefined ? { problem } : { problem, hint });
  });
});

const word = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,10}$/);
const number = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constantFrom("0.5", "-1.25")).map(String);
const anyConstraint = fc.oneof(
  fc
    .record({
      label: word,
      operator: fc.constantFrom(Operator.IN, Operator.NOT_IN),
      values: fc.uniqueArray(word, { minLength: 1, maxLength: 5 }),
    })
    .map(({ label, operator, values }) => constraint(label, operator, ...values)),
  fc
    .record({ label: word, operator: fc.constantFrom(Operator.AT_LEAST, Operator.AT_MOST), value: number })
    .map(({ label, operator, value }) => constraint(label, operator, value)),
  fc
    .record({ label: word, operator: fc.constantFrom(Operator.EXISTS, Operator.NOT_EXISTS) })
    .map(({ label, operator }) => constraint(label, operator)),
);

describe("any condition", () => {
  it("reads as it was written", () => {
    fc.assert(
      fc.property(anyConstraint, (it) => {
        expect(parseCondition(formatCondition(it))).toEqual({ constraint: it });
      }),
    );
  });

  it("is a constraint or a problem, and never throws", () => {
    const token = fc.constantFrom("zone", " ", "=", "!", "<", ">=", "in", "not", "(", ")", ",", "eu", "4", "-", "é");
    const source = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(token, { maxLength: 12 }).map((it) => it.join("")),
    );
    fc.assert(
      fc.property(source, (text) => {
        const read = parseCondition(text);
        if ("problem" in read) expect(read.problem).not.toBe("");
        else expect(parseCondition(formatCondition(read.constraint))).toEqual(read);
      }),
    );
  });
});

/** Whether a node with this value of the label, undefined for none, meets a condition; written for the test alone. */
function meets({ operator, values }: LabelConstraint, value: string | undefined): boolean {
  if (operator === Operator.EXISTS) return value !== undefined;
  if (operator === Operator.NOT_EXISTS) return value === undefined;
  if (operator === Operator.IN) return values.some((it) => it === value);
  if (operator === Operator.NOT_IN) return values.every((it) => it !== value);
  const amount = value === undefined || value === "eu" || value === "else" ? Number.NaN : Number(value);
  return operator === Operator.AT_LEAST ? amount >= Number(values[0]) : amount <= Number(values[0]);
}

describe("firstContradiction", () => {
  // Numbers also in another spelling: a listed value is excluded as text, a bound compares numbers.
  const world = [undefined, "eu", "else", "0", "1", "2", "3", "4", "1.0", "2.0", "3.0", "1.5", "2.5"];
  const listed = fc.uniqueArray(fc.constantFrom("eu", "1", "2", "3"), { minLength: 1, maxLength: 3 });
  const small = fc.oneof(
    fc
      .tuple(fc.constantFrom(Operator.IN, Operator.NOT_IN), listed)
      .map(([operator, values]) => constraint("l", operator, ...values)),
    fc
      .tuple(fc.constantFrom(Operator.AT_LEAST, Operator.AT_MOST), fc.constantFrom("1", "2", "3"))
      .map(([operator, value]) => constraint("l", operator, value)),
    fc.constantFrom(constraint("l", Operator.EXISTS), constraint("l", Operator.NOT_EXISTS)),
  );

  it("is where no value is left", () => {
    fc.assert(
      fc.property(fc.array(small, { maxLength: 6 }), (constraints) => {
        const possible = (count: number) =>
          world.some((value) => constraints.slice(0, count).every((it) => meets(it, value)));
        const expected = constraints.findIndex((_, i) => !possible(i + 1));
        expect(firstContradiction(constraints)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it("looks at each label by itself", () => {
    expect(firstContradiction([constraint("a", Operator.EXISTS), constraint("b", Operator.NOT_EXISTS)])).toBe(-1);
    expect(firstContradiction([])).toBe(-1);
  });
});
