import { create } from "@bufbuild/protobuf";
import { type Parameter, ParameterSchema, ParameterType } from "@kedge/proto";
import { RE2JS } from "re2js";
import { z } from "zod";
import { report, scalarText, text } from "./fields.ts";
import { type Finding, nearHint, quote } from "./finding.ts";
import { LIMITS } from "./limits.ts";
import { regexProblem } from "./regex.ts";

/** A parameter's value: as written, and by its type. `unknown` when only linting and there is no default. */
export interface BoundParameter {
  readonly text: string;
  readonly value: string | number | boolean;
  readonly unknown: boolean;
  /** Never part of a value: jobs are given it as a secret. */
  readonly isSecret?: boolean;
}

const TYPES = {
  string: ParameterType.STRING,
  number: ParameterType.NUMBER,
  boolean: ParameterType.BOOLEAN,
  choice: ParameterType.CHOICE,
  secret: ParameterType.SECRET,
} as const;
type TypeName = keyof typeof TYPES;

interface Declared {
  readonly type: TypeName;
  readonly choices: readonly string[];
  readonly pattern?: string | undefined;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
}

const parameterSchema = z
  .strictObject({
    type: z.enum(["string", "number", "boolean", "choice", "secret"]).default("string"),
    default: scalarText.optional().meta({ description: "Without it the parameter is required." }),
    choices: z.array(scalarText).min(1).max(100).optional(),
    description: text.default(""),
    pattern: text.optional().meta({ description: "RE2 that a string must match as a whole." }),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
  })
  .superRefine((parameter, ctx) => {
    checkLimits(parameter, ctx);
    if (parameter.type === "secret" && parameter.default !== undefined) {
      report(ctx, "a secret has no default: it would stand in the file", { path: ["default"], atKey: true });
    } else if (parameter.type === "choice" && parameter.choices === undefined) {
      report(ctx, '"choices" is required: a list of the values it may have');
    } else if (parameter.type !== "choice" && parameter.choices !== undefined) {
      report(ctx, `choices are for type choice, not ${parameter.type}`, { path: ["choices"], atKey: true });
    } else if (parameter.default !== undefined) {
      const parsed = parseValue(parameter.default, { ...parameter, choices: parameter.choices ?? [] });
      if ("expected" in parsed)
        report(ctx, `must be ${parsed.expected}, not ${quote(parameter.default)}`, { path: ["default"] });
    }
  });

function checkLimits(parameter: Omit<Declared, "choices">, ctx: z.RefinementCtx): void {
  const { type, pattern } = parameter;
  const problem = pattern === undefined ? undefined : regexProblem(pattern);
  if (problem !== undefined) report(ctx, `must be a regular expression (RE2): ${problem}`, { path: ["pattern"] });
  const wanted = { pattern: "string", minimum: "number", maximum: "number" } as const;
  for (const key of ["pattern", "minimum", "maximum"] as const) {
    if (parameter[key] === undefined || type === wanted[key]) continue;
    report(ctx, `${key} is for type ${wanted[key]}, not ${type}`, { path: [key], atKey: true });
  }
}

/** The `parameters` of a pipeline. */
export const parametersSchema = z.record(
  z.string().superRefine((name, ctx) => {
    if (/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(name)) return;
    report(ctx, `must be a parameter name (letters, digits, _ and -), not ${quote(name)}`);
  }),
  parameterSchema,
);

/** The parameters that a file declares, as far as they are sound, in the order of the file. */
export function declaredParameters(section: unknown): Parameter[] {
  if (typeof section !== "object" || section === null || Array.isArray(section)) return [];
  return Object.entries(section)
    .slice(0, LIMITS.parameters)
    .flatMap(([name, value]) => {
      const parsed = parameterSchema.safeParse(value);
      if (!parsed.success) return [create(ParameterSchema, { name, type: ParameterType.STRING, defaultValue: "" })];
      const { type, default: defaultValue, choices = [], description, pattern = "", minimum, maximum } = parsed.data;
      const limits = { ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) };
      const known = { name, type: TYPES[type], choices, description, pattern, ...limits };
      return [create(ParameterSchema, defaultValue === undefined ? known : { ...known, defaultValue })];
    });
}

/** What a declared value is called, whose it is and how one is given, for what is reported. */
interface Wording {
  readonly noun: string;
  readonly owner: string;
  readonly give: (name: string) => string;
}

const PARAMETER: Wording = {
  noun: "parameter",
  owner: "pipeline",
  give: (name) => `give it with --param ${name}=...`,
};

/** The values that a step gives to a component. */
export const INPUT: Wording = {
  noun: "input",
  owner: "component",
  give: (name) => `give it as with: { ${name}: ... }`,
};

/** The values of one run. `given` is undefined when only linting: nothing is missing then. */
export function bindParameters(
  declared: readonly Parameter[],
  given: Readonly<Record<string, string>> | undefined,
  wording: Wording = PARAMETER,
): { readonly bound: ReadonlyMap<string, BoundParameter>; readonly findings: Finding[] } {
  const names = declared.map((parameter) => parameter.name);
  const findings: Finding[] = Object.keys(given ?? {})
    .filter((name) => !names.includes(name))
    .map((name) => ({
      path: ["parameters"],
      atKey: true,
      message: `the ${wording.owner} has no ${wording.noun} ${quote(name)}, which was given`,
      hint: () => nearHint(name, names),
    }));
  const bound = new Map<string, BoundParameter>();
  for (const parameter of declared) {
    const result = bindParameter(parameter, given, wording);
    if ("message" in result) findings.push({ path: ["parameters", parameter.name], atKey: true, ...result });
    bound.set(parameter.name, "message" in result ? placeholder(parameter) : result);
  }
  return { bound, findings };
}

function bindParameter(
  parameter: Parameter,
  given: Readonly<Record<string, string>> | undefined,
  { noun, give }: Wording,
): BoundParameter | { readonly message: string; readonly hint: string } {
  const own = given !== undefined && Object.hasOwn(given, parameter.name) ? given[parameter.name] : undefined;
  const written = own ?? parameter.defaultValue;
  const hint = give(parameter.name);
  if (written === undefined) {
    if (given === undefined) return placeholder(parameter);
    return { message: `the ${noun} ${quote(parameter.name)} is required`, hint };
  }
  if (parameter.type === ParameterType.SECRET) return placeholder(parameter);
  const { choices, pattern, minimum, maximum } = parameter;
  const limits = { pattern: pattern === "" ? undefined : pattern, minimum, maximum };
  const parsed = parseValue(written, { type: typeName(parameter.type), choices, ...limits });
  if ("value" in parsed) return { text: written, value: parsed.value, unknown: false };
  if (own === undefined) return placeholder(parameter);
  return {
    message: `the ${noun} ${quote(parameter.name)} must be ${parsed.expected}; ${quote(own)} was given`,
    hint,
  };
}

/** Stands for a value that is not known; what is found where it is used is not reported. */
function placeholder(parameter: Parameter): BoundParameter {
  const examples = { string: "value", number: 1, boolean: false, choice: parameter.choices[0] ?? "", secret: "***" };
  const type = typeName(parameter.type);
  return { text: String(examples[type]), value: examples[type], unknown: true, isSecret: type === "secret" };
}

function typeName(type: ParameterType): TypeName {
  if (type === ParameterType.NUMBER) return "number";
  if (type === ParameterType.BOOLEAN) return "boolean";
  if (type === ParameterType.SECRET) return "secret";
  return type === ParameterType.CHOICE ? "choice" : "string";
}

type Parsed = { readonly value: string | number | boolean } | { readonly expected: string };

function parseValue(written: string, declared: Declared): Parsed {
  switch (declared.type) {
    case "secret":
      return { value: written };
    case "string":
      return parseString(written, declared);
    case "number":
      return parseNumber(written, declared);
    case "boolean":
      return written === "true" || written === "false" ? { value: written === "true" } : { expected: "true or false" };
    case "choice":
      return declared.choices.includes(written)
        ? { value: written }
        : { expected: `one of ${declared.choices.join(", ")}` };
    default:
      return declared.type satisfies never;
  }
}

function parseString(written: string, { pattern }: Declared): Parsed {
  // A pattern that is none was reported where it is declared.
  if (pattern === undefined || regexProblem(pattern) !== undefined) return { value: written };
  return RE2JS.compile(pattern).matcher(written).matches() ? { value: written } : { expected: `like ${pattern}` };
}

function parseNumber(written: string, { minimum, maximum }: Declared): Parsed {
  const isNumber = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?$/.test(written) && Number.isFinite(Number(written));
  const value = Number(written);
  if (!isNumber) return { expected: "a number" };
  if (minimum !== undefined && value < minimum) return { expected: `at least ${minimum}` };
  return maximum !== undefined && value > maximum ? { expected: `at most ${maximum}` } : { value };
}
