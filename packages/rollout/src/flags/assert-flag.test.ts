import { clone, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Flag, FlagSchema } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { flagValue, splitRule, switchFlag } from "../testing/example-flags.ts";
import { assertFlag } from "./assert-flag.ts";
import { describeFlagChange, sameFlag } from "./changes.ts";

const WHOLE = toJson(FlagSchema, switchFlag({ rules: [splitRule({ on: 1000, off: 9000 })] })) as JsonObject;

function problem(change: JsonObject): string {
  try {
    assertFlag(fromJson(FlagSchema, { ...WHOLE, ...change }));
    return "none";
  } catch (error) {
    return String(error);
  }
}

const rule = (...conditions: JsonValue[]): JsonObject => ({ rules: [{ name: "r", variant: "on", conditions }] });
const split = (...shares: JsonValue[]): JsonObject => ({ rules: [{ name: "r", split: { shares } }] });

describe("a flag is refused", () => {
  it("unless it is whole", () => expect(problem({})).toBe("none"));

  it.each([
    [{ name: "Dark Mode" }, "flag.name"],
    [{ type: 0 }, "flag.type is missing"],
    [{ variants: {} }, "flag.variants must have 1 to 64 entries, not 0"],
    [{ variants: { on: "true", off: false } }, "flag.variants.on must be a boolean"],
    [{ type: "FLAG_TYPE_NUMBER", variants: { on: 1, off: null } }, "flag.variants.off must be a number"],
    [{ type: "FLAG_TYPE_JSON", variants: { on: {}, off: 3 } }, "flag.variants.off must be a json"],
    [{ variants: { on: true, off: false, "a b": true } }, "must be named otherwise"],
    [{ defaultVariant: "of" }, 'flag.default_variant must be one of the variants (on, off), not "of"'],
    [{ offVariant: "no" }, "flag.off_variant must be one of"],
    [{ defaultVariant: "constructor" }, "flag.default_variant must be one of"],
    [{ rules: [{ name: "r" }] }, "flag.rules[0] must serve a variant or a split"],
    [{ rules: [{ name: "", variant: "on" }] }, "flag.rules[0].name must be a name"],
    [rule({ attribute: "a" }), "flag.rules[0].conditions[0] has no test"],
    [rule({ attribute: "", exists: true }), "flag.rules[0].conditions[0].attribute must have 1"],
    [rule({ attribute: "a", exists: false }), "negate the condition instead"],
    [rule({ attribute: "a", in: { values: [{}] } }), "conditions[0].in must hold texts, numbers and booleans only"],
    [rule({ attribute: "a", prefix: { texts: [""] } }), "conditions[0].prefix must not hold the empty text"],
    [rule({ attribute: "a", number: { number: 1 } }), "conditions[0].number.comparison is missing"],
    [rule({ attribute: "a", number: { comparison: 1, number: "NaN" } }), "must be a finite number"],
    [rule({ attribute: "a", semver: { comparison: 1, version: "2.x" } }), 'must be a version such as 2.1.0, not "2.x"'],
    [split({ variant: "on", basisPoints: 10 }), "must make 100 % together, not 0.1 %"],
    [split({ variant: "on", basisPoints: 5000 }, { variant: "on", basisPoints: 5000 }), "must name each variant once"],
    [split({ variant: "new", basisPoints: 10_000 }), "flag.rules[0].split.shares[0].variant must be one of"],
    [{ description: "x".repeat(1001) }, "flag.description must have at most 1000"],
    [{ rules: ["r", "r"].map((name) => ({ name, variant: "on" })) }, `flag.rules[1].name is "r", as another rule's`],
    [{ type: "FLAG_TYPE_STRING", variants: { on: "x".repeat(70_000), off: "" } }, "flag dark would have 70"],
  ] as [JsonObject, string][])("for %j", (change, expected) => {
    expect(problem(change)).toContain(expected);
  });
});

describe("a change", () => {
  const before = switchFlag({ rules: [splitRule({ on: 1000, off: 9000 })] });
  const edited = (edit: (flag: Flag) => void): Flag => {
    const after = clone(FlagSchema, before);
    edit(after);
    return after;
  };

  it("is told in words", () => {
    const ramped = switchFlag({ rules: [splitRule({ on: 2000, off: 8000 })], defaultVariant: "on", disabled: true });
    expect(describeFlagChange(before, ramped)).toEqual([
      "turned off",
      "default: off -> on",
      "rule ramp: everybody: on 10 %, off 90 % by targetingKey -> everybody: on 20 %, off 80 % by targetingKey",
    ]);
    expect(describeFlagChange(undefined, before)).toEqual(["created"]);
    expect(describeFlagChange(before, undefined)).toEqual(["deleted"]);
    const widened = edited((flag) => {
      flag.variants["maybe"] = flagValue(true);
    });
    expect(describeFlagChange(before, widened)).toEqual(["variant maybe: none -> true"]);
  });

  it("is none when only its author and time differ", () => {
    const signed = edited((flag) => {
      flag.updatedBy = "ann";
      flag.generation = 9n;
    });
    expect(sameFlag(before, signed)).toBe(true);
    expect(sameFlag(before, switchFlag({ rules: before.rules, description: "d" }))).toBe(false);
  });
});
