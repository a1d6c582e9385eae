import { isFlagLabel, parseSemver } from "@kedge/domain";
import { z } from "zod";
import { early, exactlyOne, name, report, someText, text } from "../fields.ts";
import { nearHint, quote } from "../finding.ts";
import { readSemverTests } from "./semver-tests.ts";

const LIMITS = { variants: 64, rules: 100, values: 1000, description: 1000, attribute: 256 } as const;

const label = (what: string) =>
  early(isFlagLabel, `the name of a ${what} (letters, digits and inner dots, dashes and underscores)`);
const scalar = z.union([text, z.number(), z.boolean()]);
const oneOrMore = <Item extends z.ZodType>(item: Item) =>
  z
    .union([item, z.array(item).min(1).max(LIMITS.values)])
    .transform((value): z.output<Item>[] => [value].flat() as z.output<Item>[]);
const attribute = someText.refine(
  (value) => value.length <= LIMITS.attribute,
  `must have at most ${LIMITS.attribute} characters`,
);

const versions = z
  .string()
  .superRefine((value, ctx) => {
    const wrong = readSemverTests(value).find(({ version }) => parseSemver(version) === undefined);
    if (wrong === undefined && value.trim() !== "") return;
    report(ctx, `must be comparisons of versions, not ${quote(value)}`, { hint: 'e.g. ">=2.1.0 <3.0.0"' });
  })
  .meta({ examples: [">=2.1.0 <3.0.0"] });

/** Said only of a mapping in which nothing else is wrong: unknown keys are gone by then. */
const NOT_EMPTY = {
  error: "must hold at least one test",
  params: { hint: "e.g. in: [a, b]" },
  when: ({ issues }: { readonly issues: readonly unknown[] }) => issues.length === 0,
};
const holdsAny = (value: object): boolean => Object.keys(value).length > 0;

const tests = {
  in: z.array(scalar).min(1).max(LIMITS.values).optional().meta({ description: "Equal to one of them." }),
  prefix: oneOrMore(someText).optional(),
  suffix: oneOrMore(someText).optional(),
  contains: oneOrMore(someText).optional(),
  equals: z.number().optional(),
  above: z.number().optional(),
  "at-least": z.number().optional(),
  below: z.number().optional(),
  "at-most": z.number().optional(),
  semver: versions.optional(),
};

const test = z.strictObject({
  ...tests,
  exists: z.boolean().optional().meta({ description: "Whether the attribute is there." }),
  not: z
    .strictObject(tests)
    .refine(holdsAny, NOT_EMPTY)
    .optional()
    .meta({ description: "Tests none of which may hold." }),
});

const conditions = z.record(attribute, z.union([scalar, test.refine(holdsAny, NOT_EMPTY)]));

const rule = z
  .strictObject({
    name: label("rule").meta({ description: "A split keeps its users as long as its rule keeps its name." }),
    when: z
      .union([conditions, z.array(conditions)])
      .optional()
      .meta({ description: "Conditions by attribute, all of which must hold. Default: everybody." }),
    serve: label("variant").optional(),
    split: z
      .record(label("variant"), z.number().min(0).max(100))
      .optional()
      .meta({ description: "Percentages by variant." }),
    by: attribute.optional().meta({ description: "Attribute whose values are split. Default: targetingKey." }),
    salt: label("salt").optional().meta({ description: "Splits of one salt agree. Default: the flag's name." }),
  })
  .superRefine((value, ctx) => {
    exactlyOne(value, ["serve", "split"], ctx);
    if (value.split !== undefined) checkShares(value.split, ctx);
    for (const key of ["by", "salt"] as const) {
      if (value[key] !== undefined && value.split === undefined) {
        report(ctx, `${key} is for splits`, { path: [key], atKey: true });
      }
    }
  });

function checkShares(split: Readonly<Record<string, number>>, ctx: z.RefinementCtx): void {
  for (const [variant, percent] of Object.entries(split)) {
    const points = percent * 100;
    if (Math.abs(points - Math.round(points)) < 1e-6) continue;
    report(ctx, `must have at most two decimals, not ${percent}`, { path: ["split", variant] });
  }
  const sum = Object.values(split).reduce((total, percent) => total + Math.round(percent * 100), 0);
  if (sum !== 10_000) report(ctx, `must make 100 together, not ${sum / 100}`, { path: ["split"], atKey: true });
}

/** The types of flags, with the test for their values and the word for it. */
const TYPES = {
  boolean: { is: (value: unknown) => typeof value === "boolean", what: "true or false" },
  string: { is: (value: unknown) => typeof value === "string", what: "text" },
  number: { is: (value: unknown) => typeof value === "number", what: "a number" },
  json: { is: (value: unknown) => typeof value === "object" && value !== null, what: "a mapping or a list" },
} as const;

const flagFields = z.strictObject({
  flag: name("flag").meta({ description: "Its name." }),
  type: z.enum(["boolean", "string", "number", "json"]).optional().meta({ description: "Default: boolean." }),
  description: text
    .refine((value) => value.length <= LIMITS.description, `must have at most ${LIMITS.description} characters`)
    .optional(),
  variants: z
    .record(label("variant"), z.json())
    .optional()
    .meta({ description: "Values by variant. A boolean flag has on and off unless it says otherwise." }),
  default: label("variant").meta({ description: "For whom no rule holds." }),
  enabled: z.boolean().optional().meta({ description: "Default: true." }),
  "when-off": label("variant").optional().meta({ description: "Default: the value that the caller asks with." }),
  rules: z.array(rule).max(LIMITS.rules).optional().meta({ description: "The first that holds decides." }),
});

/** A feature flag's file. */
export const flagSchema = flagFields.superRefine((flag, ctx) => {
  const variants = variantsOf(flag);
  checkVariants(flag, ctx);
  const check = (variant: string | undefined, path: (string | number)[], atKey = false): void => {
    if (variant === undefined || Object.hasOwn(variants, variant)) return;
    const hint = nearHint(variant, Object.keys(variants));
    report(ctx, `no variant is called ${quote(variant)}`, { path, atKey, ...(hint === undefined ? {} : { hint }) });
  };
  check(flag.default, ["default"]);
  check(flag["when-off"], ["when-off"]);
  const names = new Set<string>();
  for (const [i, { name: called, serve, split = {} }] of (flag.rules ?? []).entries()) {
    check(serve, ["rules", i, "serve"]);
    for (const variant of Object.keys(split)) check(variant, ["rules", i, "split", variant], true);
    if (names.has(called)) report(ctx, `another rule is called ${quote(called)}`, { path: ["rules", i, "name"] });
    names.add(called);
  }
});

function checkVariants(flag: FlagFields, ctx: z.RefinementCtx): void {
  const { type = "boolean", variants } = flag;
  if (variants === undefined) {
    if (type !== "boolean")
      report(ctx, `a ${type} flag needs variants`, { path: ["type"], hint: "variants: { a: ... }" });
    return;
  }
  const count = Object.keys(variants).length;
  if (count === 0 || count > LIMITS.variants) report(ctx, `must hold 1 to ${LIMITS.variants}`, { path: ["variants"] });
  for (const [variant, value] of Object.entries(variants)) {
    if (TYPES[type].is(value)) continue;
    const shown = typeof value === "object" ? "a mapping or a list" : quote(value);
    report(ctx, `must be ${TYPES[type].what}, not ${shown}`, { path: ["variants", variant] });
  }
}

/** The variants of a file: those it lists, or on and off. */
export function variantsOf({ variants }: Pick<FlagFields, "variants">): Readonly<Record<string, z.core.util.JSONType>> {
  return variants ?? { on: true, off: false };
}

/** A flag file once it is checked. */
export type FlagFields = z.output<typeof flagFields>;
