import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type Diagnostic,
  type Flag,
  FlagComparison,
  type FlagCondition,
  FlagConditionSchema,
  type FlagRule,
  FlagRuleSchema,
  FlagSchema,
  FlagSplitSchema,
  FlagType,
} from "@kedge/proto";
import { readPlainFile } from "../plain-file.ts";
import { type FlagFields, flagSchema, variantsOf } from "./flag-schema.ts";
import { readSemverTests } from "./semver-tests.ts";

/** The flag, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface FlagResult {
  readonly flag?: Flag;
  readonly diagnostics: Diagnostic[];
}

type RuleFields = NonNullable<FlagFields["rules"]>[number];
type WhenFields = Exclude<NonNullable<RuleFields["when"]>, readonly unknown[]>;
type TestFields = Extract<WhenFields[string], object>;
type Test = FlagCondition["test"];

const TYPES = {
  boolean: FlagType.BOOLEAN,
  string: FlagType.STRING,
  number: FlagType.NUMBER,
  json: FlagType.JSON,
} as const;

/** Reads a feature flag's file. Never throws. `file` is the name used in diagnostics. */
export function parseFlag(text: string, file = "flag.yaml"): FlagResult {
  const read = readPlainFile(text, { file, called: "flag file", asWritten: () => false, schema: flagSchema });
  const { data, diagnostics } = read;
  return data === undefined ? { diagnostics } : { flag: compileFlag(data), diagnostics };
}

function compileFlag(fields: FlagFields): Flag {
  const variants = Object.entries(variantsOf(fields)).map(([name, value]) => [name, fromJson(ValueSchema, value)]);
  return create(FlagSchema, {
    name: fields.flag,
    type: TYPES[fields.type ?? "boolean"],
    description: fields.description ?? "",
    variants: Object.fromEntries(variants),
    defaultVariant: fields.default,
    disabled: fields.enabled === false,
    offVariant: fields["when-off"] ?? "",
    rules: fields.rules?.map(compileRule) ?? [],
  });
}

function compileRule({ name, when = {}, serve, split = {}, by = "", salt = "" }: RuleFields): FlagRule {
  const conditions = [when].flat().flatMap((each) => Object.entries(each).flatMap(compileConditions));
  if (serve !== undefined)
    return create(FlagRuleSchema, { name, conditions, serve: { case: "variant", value: serve } });
  const shares = Object.entries(split).map(([variant, percent]) => ({
    variant,
    basisPoints: Math.round(percent * 100),
  }));
  const value = create(FlagSplitSchema, { shares, by, salt });
  return create(FlagRuleSchema, { name, conditions, serve: { case: "split", value } });
}

function compileConditions([attribute, fields]: [string, WhenFields[string]]): FlagCondition[] {
  if (typeof fields !== "object") return [create(FlagConditionSchema, { attribute, test: equalTo([fields]) })];
  const { not = {}, exists, ...tests } = fields;
  const made = (negated: boolean) => (test: Test) => create(FlagConditionSchema, { attribute, negated, test });
  return [
    ...compileTests(tests).map(made(false)),
    ...compileTests(not).map(made(true)),
    ...(exists === undefined ? [] : [made(!exists)({ case: "exists", value: true })]),
  ];
}

function compileTests(fields: Omit<TestFields, "not" | "exists">): Test[] {
  const texts = (["prefix", "suffix", "contains"] as const).flatMap((key) => {
    const value = fields[key];
    return value === undefined ? [] : [textTest(key, value)];
  });
  const numbers = [
    ...numberTest(FlagComparison.EQUAL, fields.equals),
    ...numberTest(FlagComparison.GREATER, fields.above),
    ...numberTest(FlagComparison.AT_LEAST, fields["at-least"]),
    ...numberTest(FlagComparison.LESS, fields.below),
    ...numberTest(FlagComparison.AT_MOST, fields["at-most"]),
  ];
  const versions = readSemverTests(fields.semver ?? "").map((value) => semverTest(value));
  return [...(fields.in === undefined ? [] : [equalTo(fields.in)]), ...texts, ...numbers, ...versions];
}

function semverTest(value: ReturnType<typeof readSemverTests>[number]): Test {
  return create(FlagConditionSchema, { test: { case: "semver", value } }).test;
}

function textTest(key: "prefix" | "suffix" | "contains", texts: string[]): Test {
  return create(FlagConditionSchema, { test: { case: key, value: { texts } } }).test;
}

function numberTest(comparison: FlagComparison, number: number | undefined): Test[] {
  if (number === undefined) return [];
  return [create(FlagConditionSchema, { test: { case: "number", value: { comparison, number } } }).test];
}

function equalTo(values: readonly JsonValue[]): Test {
  const list = { values: values.map((value) => fromJson(ValueSchema, value)) };
  return create(FlagConditionSchema, { test: { case: "in", value: list } }).test;
}
