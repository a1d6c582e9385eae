import { create } from "@bufbuild/protobuf";
import {
  type Condition,
  ConditionListSchema,
  ConditionSchema,
  ValueConditionSchema,
  ValueOperator,
} from "@kedge/proto";
import { z } from "zod";
import { exactlyOne, report, scalarText } from "./fields.ts";
import { quote } from "./finding.ts";
import { regexProblem } from "./regex.ts";

const MAX_OPERANDS = 100;
/** A decoder of protobuf messages goes 100 deep, and a list of conditions takes two. */
const MAX_DEPTH = 16;
const EVENTS = ["manual", "push", "tag", "pull-request", "cron", "poll", "call"] as const;

const texts = z.union([scalarText.transform((it) => [it]), z.array(scalarText).min(1).max(MAX_OPERANDS)]);
const patterns = texts.meta({ description: "Globs: * within a segment, ** over segments; ! takes out again." });

const expression = z.string().superRefine((value, ctx) => {
  const problem = regexProblem(value);
  if (problem !== undefined) report(ctx, `must be a regular expression (RE2), not ${quote(value)}: ${problem}`);
});
const regexes = z.union([expression.transform((it) => [it]), z.array(expression).min(1).max(MAX_OPERANDS)]);

const OPERATORS = {
  equals: ValueOperator.EQUALS,
  glob: ValueOperator.GLOB,
  matches: ValueOperator.MATCHES,
  "at-least": ValueOperator.AT_LEAST,
  "at-most": ValueOperator.AT_MOST,
} as const;

const valueCondition = z
  .strictObject({
    value: scalarText.meta({ description: `Text with expressions, e.g. \${{ jobs.test.outputs.kind }}.` }),
    equals: texts.optional(),
    glob: patterns.optional(),
    matches: regexes.optional().meta({ description: "RE2, somewhere in the value." }),
    "at-least": z.number().optional(),
    "at-most": z.number().optional(),
  })
  .superRefine((value, ctx) => exactlyOne(value, Object.keys(OPERATORS), ctx))
  .transform((fields): Condition => {
    const [key, operator] = Object.entries(OPERATORS).find(([name]) => Reflect.get(fields, name) !== undefined) ?? [
      "",
      ValueOperator.EQUALS,
    ];
    const operand: unknown = Reflect.get(fields, key);
    return compare(fields.value, operator, Array.isArray(operand) ? operand.map(String) : [String(operand)]);
  });

const run = (field: string): string => `\${{ run.${field} }}`;

/** What a job or step runs on condition of; all of the keys must hold. */
export type WhenFields = {
  readonly branch?: string[] | undefined;
  readonly tag?: string[] | undefined;
  readonly event?: string[] | undefined;
  readonly changed?: string[] | undefined;
  readonly values?: Condition[] | undefined;
  readonly all?: WhenFields[] | undefined;
  readonly any?: WhenFields[] | undefined;
  readonly not?: WhenFields | undefined;
};

const leaves = {
  branch: patterns.optional(),
  tag: patterns.optional(),
  event: z
    .union([z.enum(EVENTS).transform((it) => [it as string]), z.array(z.enum(EVENTS)).min(1)])
    .optional()
    .meta({ description: "What started the run." }),
  changed: patterns
    .optional()
    .meta({ description: "At least one changed file fits. Holds when changes are not known." }),
  values: z.array(valueCondition).min(1).max(MAX_OPERANDS).optional(),
};

/** Conditions in conditions. */
const node = z.strictObject({
  ...leaves,
  get all(): z.ZodOptional<z.ZodArray<z.ZodType<WhenFields>>> {
    return z.array(node).min(1).optional();
  },
  get any(): z.ZodOptional<z.ZodArray<z.ZodType<WhenFields>>> {
    return z.array(node).min(1).optional();
  },
  get not(): z.ZodOptional<z.ZodType<WhenFields>> {
    return node.optional();
  },
});

/** The `when` of a job. */
export const whenSchema = node
  .superRefine((value, ctx) => {
    if (Object.keys(value).length === 0) report(ctx, "must not be empty");
    if (depthOf(value) > MAX_DEPTH) report(ctx, `must not nest deeper than ${MAX_DEPTH} levels`);
  })
  .transform(compileWhen)
  .meta({ description: "The job is skipped unless all of this holds; looked at when its needs have ended." });

function depthOf({ all = [], any = [], not }: WhenFields): number {
  const inner = [...all, ...any, ...(not === undefined ? [] : [not])];
  return 1 + Math.max(0, ...inner.map(depthOf));
}

function compileWhen(fields: WhenFields): Condition {
  const { branch, tag, event, changed, values = [], all = [], any, not } = fields;
  const parts = [
    ...(branch === undefined ? [] : [compare(run("branch"), ValueOperator.GLOB, branch)]),
    ...(tag === undefined ? [] : [compare(run("tag"), ValueOperator.GLOB, tag)]),
    ...(event === undefined ? [] : [compare(run("event"), ValueOperator.EQUALS, event)]),
    ...(changed === undefined ? [] : [compare(run("changed"), ValueOperator.GLOB, changed)]),
    ...values,
    ...all.map(compileWhen),
    ...(any === undefined ? [] : [list("any", any.map(compileWhen))]),
    ...(not === undefined ? [] : [create(ConditionSchema, { kind: { case: "not", value: compileWhen(not) } })]),
  ];
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : list("all", parts);
}

function list(kind: "all" | "any", conditions: Condition[]): Condition {
  return create(ConditionSchema, { kind: { case: kind, value: create(ConditionListSchema, { conditions }) } });
}

function compare(value: string, operator: ValueOperator, operands: readonly string[]): Condition {
  const condition = create(ValueConditionSchema, { value, operator, operands: [...operands] });
  return create(ConditionSchema, { kind: { case: "value", value: condition } });
}
