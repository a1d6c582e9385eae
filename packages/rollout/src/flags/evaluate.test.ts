import type { MessageInitShape } from "@bufbuild/protobuf";
import { FlagComparison, type FlagConditionSchema } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { flagSet, flagValue, splitRule, switchFlag } from "../testing/example-flags.ts";
import type { FlagAttributes } from "./attributes.ts";
import { explainFlag } from "./explain.ts";
import { xxh32 } from "./hash.ts";
import { askFlag, FLAG_VALUES } from "./typed-value.ts";

type Test = NonNullable<MessageInitShape<typeof FlagConditionSchema>["test"]>;

const isIn = (...values: (string | number | boolean)[]): Test => ({
  case: "in",
  value: { values: values.map(flagValue) },
});
const prefix = (...texts: string[]): Test => ({ case: "prefix", value: { texts } });
const number = (comparison: FlagComparison, value: number): Test => ({
  case: "number",
  value: { comparison, number: value },
});
const semver = (comparison: FlagComparison, version: string): Test => ({
  case: "semver",
  value: { comparison, version },
});

function isServed(attribute: string, test: Test, attributes: FlagAttributes, negated = false): boolean {
  const rule = {
    name: "r",
    conditions: [{ attribute, negated, test }],
    serve: { case: "variant" as const, value: "on" },
  };
  return flagSet(switchFlag({ rules: [rule] })).evaluate("dark", attributes).value === true;
}

describe("xxh32", () => {
  it.each([
    ["", 0x02cc5d05],
    ["a", 0x550d7456],
    ["abc", 0x32d153ff],
    ["Nobody inspects the spammish repetition", 0xe2293b2f],
  ])("hashes %j as the reference does", (text, hash) => {
    expect(xxh32(text)).toBe(hash);
  });
});

describe("a condition", () => {
  it.each([
    [isIn("pro", 7, true), { a: "pro" }, true],
    [isIn("pro", 7, true), { a: 7 }, true],
    [isIn("pro", 7, true), { a: "7" }, false],
    [isIn("pro"), { a: ["free", "pro"] }, true],
    [isIn("pro"), { a: [] }, false],
    [prefix("eu-", "us-"), { a: "us-1" }, true],
    [prefix("eu-"), { a: "asia-eu-1" }, false],
    [{ case: "suffix", value: { texts: ["@kedge.dev"] } }, { a: "ann@kedge.dev" }, true],
    [{ case: "contains", value: { texts: ["bot"] } }, { a: "a robot" }, true],
    [{ case: "contains", value: { texts: ["1"] } }, { a: 10 }, false],
    [number(FlagComparison.AT_LEAST, 18), { a: 18 }, true],
    [number(FlagComparison.GREATER, 18), { a: 18 }, false],
    [number(FlagComparison.LESS, 18), { a: Number.NaN }, false],
    [number(FlagComparison.EQUAL, 18), { a: "18" }, false],
    [semver(FlagComparison.AT_LEAST, "2.1"), { a: "v2.10.0" }, true],
    [semver(FlagComparison.LESS, "2.1.0"), { a: "2.1.0-rc.2" }, true],
    [semver(FlagComparison.LESS, "2.1.0-rc.10"), { a: "2.1.0-rc.2" }, true],
    [semver(FlagComparison.EQUAL, "2.1.0"), { a: "2.1.0+linux" }, true],
    [semver(FlagComparison.AT_MOST, "2.1.0"), { a: "latest" }, false],
    [{ case: "exists", value: true }, { a: 0 }, true],
    [{ case: "exists", value: true }, { a: null }, false],
  ] as [Test, FlagAttributes, boolean][])("%# holds or not", (test, attributes, expected) => {
    expect(isServed("a", test, attributes)).toBe(expected);
    const isKnown = (attributes["a"] ?? undefined) !== undefined;
    expect(isServed("a", test, attributes, true)).toBe(test.case === "exists" || isKnown ? !expected : false);
  });

  it("reaches nobody of whom the attribute is unknown, negated or not", () => {
    expect(isServed("a", isIn("x"), {}, false)).toBe(false);
    expect(isServed("a", isIn("x"), {}, true)).toBe(false);
  });

  it("looks into attributes, and not into what JavaScript gives every object", () => {
    expect(isServed("user.plan", isIn("pro"), { user: { plan: "pro" } })).toBe(true);
    expect(isServed("user.plan", isIn("pro"), { "user.plan": "pro", user: { plan: "free" } })).toBe(true);
    for (const name of ["constructor", "__proto__", "user.constructor.name", "toString"]) {
      expect(isServed(name, { case: "exists", value: true }, { user: {} })).toBe(false);
    }
  });
});

describe("a flag", () => {
  const testers = {
    name: "testers",
    conditions: [{ attribute: "group", test: isIn("testers") }],
    serve: { case: "variant" as const, value: "on" },
  };

  it("gives OpenFeature's reasons", () => {
    const set = flagSet(switchFlag({ rules: [testers, splitRule({ on: 2500, off: 7500 })] }));
    expect(set.evaluate("dark", { group: "testers" })).toEqual({
      ...{ value: true, variant: "on", reason: "TARGETING_MATCH", rule: "testers" },
    });
    expect(set.evaluate("dark", { targetingKey: "ann" })).toMatchObject({ reason: "SPLIT", rule: "ramp" });
    expect(set.evaluate("dark", {})).toMatchObject({ reason: "ERROR", errorCode: "TARGETING_KEY_MISSING" });
    expect(set.evaluate("dork", {})).toMatchObject({ reason: "ERROR", errorCode: "FLAG_NOT_FOUND" });
    expect(flagSet(switchFlag()).evaluate("dark", {})).toEqual({ value: false, variant: "off", reason: "STATIC" });
    expect(flagSet(switchFlag({ rules: [testers] })).evaluate("dark", {})).toMatchObject({ reason: "DEFAULT" });
    const byUser = flagSet(switchFlag({ rules: [splitRule({ on: 10_000 }, "user")] }));
    expect(byUser.evaluate("dark", { targetingKey: "ann" })).toMatchObject({ errorCode: "INVALID_CONTEXT" });
  });

  it("that is off serves what it says for that, else the caller's own", () => {
    const rules = [testers];
    const off = flagSet(switchFlag({ rules, disabled: true, offVariant: "on" }));
    expect(off.evaluate("dark", { group: "testers" })).toEqual({ value: true, variant: "on", reason: "DISABLED" });
    const silent = flagSet(switchFlag({ rules, disabled: true }));
    expect(silent.evaluate("dark", {})).toEqual({ reason: "DISABLED" });
    const question = { name: "dark", type: FLAG_VALUES.boolean, fallback: true, attributes: {} };
    expect(askFlag(silent, question)).toEqual({ value: true, reason: "DISABLED" });
  });

  it("answers a question of another type with the caller's own value", () => {
    const question = { name: "dark", type: FLAG_VALUES.string, fallback: "none", attributes: {} };
    expect(askFlag(flagSet(switchFlag()), question)).toMatchObject({ value: "none", errorCode: "TYPE_MISMATCH" });
    expect(askFlag(undefined, question)).toMatchObject({ value: "none", errorCode: "PROVIDER_NOT_READY" });
  });

  it("gives JSON that nobody can change for others", () => {
    const set = flagSet(switchFlag({ type: 4, variants: { off: flagValue({ limits: [1, 2] }) } }));
    const value = set.evaluate("dark", {}).value;
    expect(value).toEqual({ limits: [1, 2] });
    expect(Object.isFrozen(value) && Object.isFrozen(Reflect.get(Object(value), "limits"))).toBe(true);
  });

  it("explains itself", () => {
    const flag = switchFlag({ rules: [testers, splitRule({ on: 2500, off: 7500 }, "user")] });
    expect(explainFlag(flag, { user: "ann" }).lines).toEqual([
      'rule testers: group in "testers" cannot hold: the attribute is absent',
      "rule ramp holds: on 25 %, off 75 % by user; user has place 3752 of 10000",
      "served: off",
    ]);
    expect(explainFlag(flag, { group: "all" }).lines).toEqual([
      'rule testers: group in "testers" does not hold',
      "error: rule ramp splits by user, which is not among the attributes; the caller's own default counts",
    ]);
  });
});
