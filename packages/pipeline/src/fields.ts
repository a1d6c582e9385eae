import { isName, type NameKind } from "@kedge/domain";
import { z } from "zod";
import { isLabelName } from "./conditions.ts";
import { hasLookup } from "./expressions.ts";
import { type Path, quote } from "./finding.ts";
import { parseCpu, parseDuration, parseMebibytes, type Quantity } from "./quantities.ts";

// The scalars of both languages. Names, paths and numbers must be known when the file is compiled; free text and
// references may hold late-bound expressions.

/** Where in a value its problem is, and what helps. */
export interface ProblemPlace {
  /** From the value; absent: the value itself. */
  readonly path?: (string | number)[];
  readonly hint?: string;
  readonly atKey?: boolean;
  /** Other places in the value that the problem is about as well. */
  readonly others?: readonly Path[];
}

/** Reports a problem of a value from inside a schema. */
export function report(ctx: z.RefinementCtx, message: string, place: ProblemPlace = {}): void {
  const { path, ...rest } = place;
  const params = { ...rest, depth: path?.length ?? 0 };
  ctx.addIssue({ code: "custom", message, params, ...(path === undefined ? {} : { path }) });
}

/** What may be written where a late-bound expression may not. */
export const EARLY_HINT = `only \${{ parameters.x }} may be used here: the value must be known before the run starts`;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

function checkText(value: string, ctx: z.RefinementCtx): void {
  if (CONTROL.test(value)) report(ctx, "must not hold control characters");
}

/** Any text. */
export const text = z.string().superRefine(checkText);

/** Text that is not empty. */
export const someText = z.string().superRefine((value, ctx) => {
  checkText(value, ctx);
  if (value.trim() === "") report(ctx, "must not be empty");
});

/** A scalar that is wanted as text; 8080 and true need no quotes. */
export const scalarText = z.union([text, z.number(), z.boolean()]).transform(String);

/** Text of a certain form that holds no late-bound expression. `expected` reads on from "must be". */
export function early(accepts: (value: string) => boolean, expected: string) {
  return z.string().superRefine((value, ctx) => {
    if (hasLookup(value)) {
      report(ctx, `must be ${expected}, not a late-bound expression`, { hint: EARLY_HINT });
      return;
    }
    if (!accepts(value)) report(ctx, `must be ${expected}, not ${quote(value)}`);
  });
}

/** Text of a certain form, checked again by resolveJob when it holds a late-bound expression. */
export function late(accepts: (value: string) => boolean, expected: string) {
  return z.string().superRefine((value, ctx) => {
    if (!hasLookup(value) && !accepts(value)) report(ctx, `must be ${expected}, not ${quote(value)}`);
  });
}

/** A name of the domain. */
export function name(kind: NameKind) {
  const article = kind === "node" || kind === "deployment" || kind === "model" ? "the" : "a";
  return early((value) => isName(kind, value), `${article} ${kind} name (lower-case letters, digits and inner dashes)`);
}

/** Tells whether text can stand as one argument of a program: no blanks, no control characters, no leading dash. */
export function isArgument(value: string): boolean {
  return /^[^\s-]\S{0,511}$/.test(value) && !CONTROL.test(value);
}

/** An image, a Git ref or the like. */
export const reference = (what: string) => late(isArgument, `${what} without blanks`);

/** Tells whether a path stays inside the folder it is relative to. */
export function isInnerPath(value: string): boolean {
  return /^[^/\\\s][^\\]{0,1023}$/.test(value) && !CONTROL.test(value) && !value.split("/").includes("..");
}

/** A path in the workspace. */
export const innerPath = early(isInnerPath, 'a relative path without ".."');

function quantity(parse: (value: string) => Quantity) {
  return (value: string, ctx: z.RefinementCtx): number => {
    const result = parse(value);
    if ("value" in result) return result.value;
    report(ctx, `must be ${result.problem}, not ${quote(value)}`);
    return z.NEVER;
  };
}

/** Seconds, from 0. */
export const holdTime = z
  .string()
  .meta({ examples: ["10s", "5m"] })
  .transform(quantity(parseDuration));

/** Seconds, from 1. */
export const duration = holdTime.superRefine((seconds, ctx) => {
  if (seconds === 0) report(ctx, "must be at least 1s", { hint: "leave it out for the default" });
});

function cpuUpTo(maxCores: number) {
  const parse = quantity((value) => parseCpu(value, maxCores));
  return z
    .union([z.string(), z.number()])
    .meta({ examples: ["500m", 2] })
    .transform(String)
    .transform(parse);
}

/** Thousandths of a CPU core, on one node. */
export const cpu = cpuUpTo(1000);

/** Thousandths of a CPU core, of a team in all. */
export const teamCpu = cpuUpTo(1_000_000);

/** MiB. */
export const mebibytes = z
  .string()
  .meta({ examples: ["512Mi", "1Gi"] })
  .transform(quantity(parseMebibytes));

/** A whole number from `min` to `max`. */
export const whole = (min: number, max: number) => z.int().min(min).max(max);

/** A label, taint or custom resource name. */
export const labelKey = early(isLabelName, "a label name, e.g. zone or example.org/rack");

/** Labels that a node must carry. */
export const labels = z.record(
  labelKey,
  z
    .union([early((value) => isLabelName(value) || value === "", "a label value, e.g. eu-1"), z.number(), z.boolean()])
    .transform(String),
);

/** Environment variables. */
export const env = z.record(
  z.string().superRefine((value, ctx) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(value)) {
      report(ctx, `must be a variable name (letters, digits and _, no leading digit), not ${quote(value)}`);
    } else if (value.startsWith("KEDGE_")) report(ctx, "names that begin with KEDGE_ are set by Kedge");
  }),
  scalarText,
);

/** The name of a metric. */
export const metricName = early(
  (value) => /^[A-Za-z_][A-Za-z0-9_.:/-]{0,127}$/.test(value),
  "a metric name, e.g. accuracy",
);

/** A model version: number or tag. */
export const version = z
  .union([late((value) => /^[1-9]\d{0,8}$/.test(value) || isName("tag", value), "a version number or tag"), z.number()])
  .transform(String);

/** Requires exactly one of some keys. */
export function exactlyOne(value: object, keys: readonly string[], ctx: z.RefinementCtx): void {
  const given = keys.filter((key) => key in value && Reflect.get(value, key) !== undefined);
  if (given.length === 1) return;
  const last = given.at(-1);
  if (last === undefined) report(ctx, `one of ${keys.join(", ")} is required`);
  else report(ctx, `only one of ${given.join(" and ")} can be given`, { path: [last], atKey: true });
}
