import { readFileSync } from "node:fs";
import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { FlagComparison, FlagSchema, FlagType } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { show } from "../testing/diagnostics.ts";
import { formatFlag } from "./flag-format.ts";
import { flagJsonSchema } from "./flag-json-schema.ts";
import { parseFlag } from "./flag-parse.ts";

const EXAMPLE = /```yaml\n(.*?)```/s.exec(readFileSync(new URL("README.md", import.meta.url), "utf8"))?.[1] ?? "";

const values = (...list: JsonValue[]) => ({ values: list.map((value) => fromJson(ValueSchema, value)) });

describe("parseFlag", () => {
  it("reads the README's flag", () => {
    const { flag, diagnostics } = parseFlag(EXAMPLE);
    expect(diagnostics).toEqual([]);
    expect(flag).toEqual(
      create(FlagSchema, {
        name: "ranker",
        type: FlagType.STRING,
        description: "Which ranker answers searches.",
        variants: { old: fromJson(ValueSchema, "bm25"), new: fromJson(ValueSchema, "cross-encoder") },
        ...{ defaultVariant: "old", offVariant: "old" },
        rules: [
          {
            name: "testers",
            conditions: [
              { attribute: "group", test: { case: "in", value: values("staff", "testers") } },
              {
                attribute: "app-version",
                test: { case: "semver", value: { comparison: FlagComparison.AT_LEAST, version: "2.1.0" } },
              },
              {
                attribute: "app-version",
                test: { case: "semver", value: { comparison: FlagComparison.LESS, version: "3.0.0" } },
              },
            ],
            serve: { case: "variant", value: "new" },
          },
          {
            name: "not-yet",
            conditions: [
              { attribute: "country", negated: true, test: { case: "in", value: values("de", "at") } },
              { attribute: "user.plan", test: { case: "in", value: values("free") } },
            ],
            serve: { case: "variant", value: "old" },
          },
          {
            name: "ramp",
            serve: {
              case: "split",
              value: {
                by: "account",
                shares: [
                  { variant: "new", basisPoints: 1000 },
                  { variant: "old", basisPoints: 9000 },
                ],
              },
            },
          },
        ],
      }),
    );
  });

  it("takes a flag that is only on or off in three words", () => {
    const { flag, diagnostics } = parseFlag("flag: dark\ndefault: off\nenabled: false\n");
    expect(diagnostics).toEqual([]);
    expect(flag).toMatchObject({ type: FlagType.BOOLEAN, disabled: true, defaultVariant: "off" });
    expect(Object.keys(flag?.variants ?? {})).toEqual(["on", "off"]);
  });

  const HEAD = "flag: f\ndefault: off\n";
  const rule = (text: string): string => `${HEAD}rules:\n  - { name: r, ${text} }\n`;
  it.each([
    [
      "flag: Dark\ndefault: off",
      '1:7 flag: must be a flag name (lower-case letters, digits and inner dashes), not "Dark"',
    ],
    ["flag: f", '1:1 default: "default" is required: text'],
    ["flag: f\ndefault: of", '2:10 default: no variant is called "of" (did you mean "off" or "on"?)'],
    [`${HEAD}wen-off: off`, '3:1 wen-off: unknown key "wen-off" (did you mean "when-off"?)'],
    [`${HEAD}type: string`, "3:7 type: a string flag needs variants (variants: { a: ... })"],
    [
      `${HEAD}type: strnig`,
      '3:7 type: must be boolean or string or number or json, not "strnig" (did you mean "string"?)',
    ],
    [`flag: f\ntype: string\nvariants: { off: 3 }\ndefault: off`, "3:18 variants.off: must be text, not 3"],
    [rule("serve: no"), '4:23 rules[0].serve: no variant is called "no" (did you mean "on"?)'],
    [rule("serve: on, split: { on: 100 }"), "4:27 rules[0].split: only one of serve and split can be given"],
    [rule("split: { on: 10, off: 80 }"), "4:16 rules[0].split: must make 100 together, not 90"],
    [rule("split: { on: 99.999, off: 0 }"), "4:29 rules[0].split.on: must have at most two decimals, not 99.999"],
    [rule("serve: on, by: user"), "4:27 rules[0].by: by is for splits"],
    [
      rule('serve: on, when: { v: { semver: ">=2.x" } }'),
      '4:48 rules[0].when.v.semver: must be comparisons of versions, not ">=2.x" (e.g. ">=2.1.0 <3.0.0")',
    ],
    [
      rule("serve: on, when: { v: { at-leest: 3 } }"),
      '4:40 rules[0].when.v.at-leest: unknown key "at-leest" (did you mean "at-least"?)',
    ],
    [rule("serve: on, when: { v: {} }"), "4:38 rules[0].when.v: must hold at least one test (e.g. in: [a, b])"],
    [`${rule("serve: on")}  - { name: r, serve: off }`, '5:13 rules[1].name: another rule is called "r"'],
    ["", "1:1 : must be a mapping, but is empty (write a value or remove the key)"],
  ])("refuses %j with place and hint", (source, expected) => {
    const { flag, diagnostics } = parseFlag(source);
    expect(flag).toBeUndefined();
    expect(show(diagnostics)).toEqual([expected]);
  });

  it("never throws, and gives a flag or findings", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."flag:\n {}[],-'\"&*%onf0") })),
        (text) => {
          const { flag, diagnostics } = parseFlag(text);
          expect(flag === undefined).toBe(diagnostics.length > 0);
        },
      ),
    );
  });
});

/** The same value; the library's type for it is another one. */
const asJson = (value: fc.JsonValue): JsonValue => JSON.parse(JSON.stringify(value));

/** What a file can hold: the key __proto__ is refused in all. */
const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => !JSON.stringify(value).includes('"__proto__"'));
const word = fc.stringMatching(/^[a-z]{1,6}$/);
const test = fc.oneof(
  fc.array(fc.oneof(word, fc.integer(), fc.boolean()), { minLength: 1, maxLength: 3 }).map((list) => ({
    ...{ case: "in" as const, value: values(...list) },
  })),
  fc.tuple(fc.constantFrom("prefix" as const, "suffix" as const, "contains" as const), word).map(([kind, text]) => ({
    ...{ case: kind, value: { texts: [text] } },
  })),
  fc
    .tuple(fc.integer({ min: 1, max: 5 }), fc.float({ noNaN: true, noDefaultInfinity: true }))
    .map(([comparison, n]) => ({
      ...{ case: "number" as const, value: { comparison, number: n } },
    })),
  fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(9)).map(([comparison, n]) => ({
    ...{ case: "semver" as const, value: { comparison, version: `1.${n}.0-rc.1` } },
  })),
  fc.constant({ case: "exists" as const, value: true }),
);
const flags = fc
  .record({
    name: word,
    values: fc.tuple(json, json),
    disabled: fc.boolean(),
    offVariant: fc.constantFrom("", "a", "b"),
    conditions: fc.array(fc.record({ attribute: word, negated: fc.boolean(), test }), { maxLength: 4 }),
    points: fc.nat(10_000),
    by: fc.constantFrom("", "user.id"),
  })
  .map(({ values: [a, b], conditions, points, by, ...rest }) =>
    create(FlagSchema, {
      ...{ ...rest, type: FlagType.JSON, defaultVariant: "b" },
      variants: { a: fromJson(ValueSchema, { v: asJson(a) }), b: fromJson(ValueSchema, [asJson(b)]) },
      rules: [
        { name: "first", conditions, serve: { case: "variant", value: "a" } },
        {
          name: "second",
          serve: {
            case: "split",
            value: {
              shares: [
                { variant: "a", basisPoints: points },
                { variant: "b", basisPoints: 10_000 - points },
              ],
              by,
            },
          },
        },
      ],
    }),
  );

it("has a JSON Schema for editors", () => {
  expect(flagJsonSchema()).toMatchObject({
    title: "Kedge feature flag",
    required: ["flag", "default"],
    properties: { type: { enum: ["boolean", "string", "number", "json"] } },
  });
});

describe("formatFlag", () => {
  it("writes what parseFlag reads back", () => {
    fc.assert(
      fc.property(flags, (flag) => {
        const { flag: again, diagnostics } = parseFlag(formatFlag(flag));
        expect(show(diagnostics)).toEqual([]);
        expect(again).toEqual(flag);
      }),
    );
  });
});
