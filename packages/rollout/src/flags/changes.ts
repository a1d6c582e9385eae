import { clone, equals, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Flag, type FlagRule, FlagSchema, type FlagSplit } from "@kedge/proto";
import { describeRule } from "./describe.ts";
import { layOut } from "./places.ts";

/**
 * The flag with the places of its splits: a split of the same rule, attribute and salt as before moves as few as can be.
 * The result is a copy.
 */
export function withPlaces(flag: Flag, before: Flag | undefined): Flag {
  const placed = clone(FlagSchema, flag);
  for (const rule of placed.rules) {
    if (rule.serve.case !== "split") continue;
    const split = rule.serve.value;
    const known = splitOf(before?.rules.find(({ name }) => name === rule.name));
    split.ranges = layOut(split.shares, known !== undefined && isSameDraw(known, split) ? known.ranges : []);
  }
  return placed;
}

function splitOf(rule: FlagRule | undefined): FlagSplit | undefined {
  return rule?.serve.case === "split" ? rule.serve.value : undefined;
}

function isSameDraw(a: FlagSplit, b: FlagSplit): boolean {
  return a.by === b.by && a.salt === b.salt;
}

/** Tells whether two flags serve and say the same, whoever wrote them and when. */
export function sameFlag(a: Flag, b: Flag): boolean {
  return equals(FlagSchema, unsigned(a), unsigned(b));
}

function unsigned(flag: Flag): Flag {
  const { updatedAt: _, ...rest } = flag;
  return { ...rest, generation: 0n, updatedBy: "" };
}

/** What a change changed, for people, a line each. */
export function describeFlagChange(before: Flag | undefined, after: Flag | undefined): string[] {
  if (after === undefined) return ["deleted"];
  if (before === undefined) return ["created"];
  const lines = [
    ...(before.disabled === after.disabled ? [] : [after.disabled ? "turned off" : "turned on"]),
    ...changed("default", before.defaultVariant, after.defaultVariant),
    ...changed("when off", before.offVariant || "the caller's", after.offVariant || "the caller's"),
    ...mapChanges("variant", variantTexts(before), variantTexts(after)),
    ...mapChanges("rule", ruleTexts(before), ruleTexts(after)),
    ...(isReordered(before, after) ? ["rules in another order"] : []),
    ...(before.description === after.description ? [] : ["description"]),
  ];
  return lines.length === 0 ? ["nothing that is served"] : lines;
}

function changed(what: string, before: string, after: string): string[] {
  return before === after ? [] : [`${what}: ${before} -> ${after}`];
}

function mapChanges(what: string, before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].flatMap((name) =>
    changed(`${what} ${name}`, before.get(name) ?? "none", after.get(name) ?? "none"),
  );
}

function variantTexts({ variants }: Flag): ReadonlyMap<string, string> {
  return new Map(Object.entries(variants).map(([name, value]) => [name, JSON.stringify(toJson(ValueSchema, value))]));
}

function ruleTexts({ rules }: Flag): ReadonlyMap<string, string> {
  return new Map(rules.map((rule) => [rule.name, describeRule(rule)]));
}

function isReordered(before: Flag, after: Flag): boolean {
  const names = (flag: Flag, other: Flag): string =>
    flag.rules
      .map(({ name }) => name)
      .filter((name) => other.rules.some((rule) => rule.name === name))
      .join();
  return names(before, after) !== names(after, before);
}
