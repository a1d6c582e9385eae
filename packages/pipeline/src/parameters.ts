import { create } from "@bufbuild/protobuf";
import { type Parameter, ParameterSchema, ParameterType } from "@kedge/proto";
import { z } from "zod";
import { report, scalarText, text } from "./fields.ts";
import { type Finding, nearHint, quote } from "./finding.ts";
import { LIMITS } from "./limits.ts";

/** A parameter's value: as written, and by its type. `unknown` when only linting and there is no default. */
export interface BoundParameter {
  readonly text: string;
  readonly value: string | number | boolean;
  readonly unknown: boolean;
}

const TYPES = {
  string: ParameterType.STRING,
  number: ParameterType.NUMBER,
  boolean: ParameterType.BOOLEAN,
  choice: ParameterType.CHOICE,
} as const;
type TypeName = keyof typeof TYPES;

interface Declared {
  readonly type: TypeName;
  readonly choices: readonly string[];
}

const parameterSchema = z
  .strictObject({
    type: z.enum(["string", "number", "boolean", "choice"]).default("string"),
    default: scalarText.optional().meta({ description: "Without it the parameter is required." }),
    choices: z.array(scalarText).min(1).max(100).optional(),
    description: text.default(""),
  })
  .superRefine((parameter, ctx) => {
    if (parameter.type === "choice" && parameter.choices === undefined) {
      report(ctx, '"choices" is required: a list of the values it may have');
    } else if (parameter.type !== "choice" && parameter.choices !== undefined) {
      report(ctx, `choices are for type choice, not ${parameter.type}`, { path: ["choices"], atKey: true });
    } else if (parameter.default !== undefined) {
      const parsed = parseValue(parameter.default, { type: parameter.type, choices: parameter.choices ?? [] });
      if ("expected" in parsed)
        report(ctx, `must be ${parsed.expected}, not ${quote(parameter.default)}`, { path: ["default"] });
    }
  });

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
      const { type, default: defaultValue, choices = [], description } = parsed.data;
      const known = { name, type: TYPES[type], choices, description };
      return [create(ParameterSchema, defaultValue === undefined ? known : { ...known, defaultValue })];
    });
}

/** The values of one run. `given` is undefined when only linting: nothing is missing then. */
export function bindParameters(
  declared: readonly Parameter[],
  given: Readonly<Record<string, string>> | undefined,
): { readonly bound: ReadonlyMap<string, BoundParameter>; readonly findings: Finding[] } {
  const names = declared.map((parameter) => parameter.name);
  const findings: Finding[] = Object.keys(given ?? {})
    .filter((name) => !names.includes(name))
    .map((name) => ({
      path: ["parameters"],
      atKey: true,
      message: `the pipeline has no parameter ${quote(name)}, which was given`,
      hint: () => nearHint(name, names),
    }));
  const bound = new Map<string, BoundParameter>();
  for (const parameter of declared) {
    const result = bindParameter(parameter, given);
    if ("message" in result) findings.push({ path: ["parameters", parameter.name], atKey: true, ...result });
    bound.set(parameter.name, "message" in result ? placeholder(parameter) : result);
  }
  return { bound, findings };
}

function bindParameter(
  parameter: Parameter,
  given: Readonly<Record<string, string>> | undefined,
): BoundParameter | { readonly message: string; readonly hint: string } {
  const own = given !== undefined && Object.hasOwn(given, parameter.name) ? given[parameter.name] : undefined;
  const written = own ?? parameter.defaultValue;
  const hint = `give it with --param ${parameter.name}=...`;
  if (written === undefined) {
    if (given === undefined) return placeholder(parameter);
    return { message: `the parameter ${quote(parameter.name)} is required`, hint };
  }
  const parsed = parseValue(written, { type: typeName(parameter.type), choices: parameter.choices });
  if ("value" in parsed) return { text: written, value: parsed.value, unknown: false };
  if (own === undefined) return placeholder(parameter);
  return {
    message: `the parameter ${quote(parameter.name)} must be ${parsed.expected}; ${quote(own)} was given`,
    hint,
  };
}

/** Stands for a value that is not known; what is found where it is used is not reported. */
function placeholder(parameter: Parameter): BoundParameter {
  const value = { string: "value", number: 1, boolean: false, choice: parameter.choices[0] ?? "" }[
    typeName(parameter.type)
  ];
  return { text: String(value), value, unknown: true };
}

function typeName(type: ParameterType): TypeName {
  if (type === ParameterType.NUMBER) return "number";
  if (type === ParameterType.BOOLEAN) return "boolean";
  return type === ParameterType.CHOICE ? "choice" : "string";
}

function parseValue(written: string, declared: Declared): { value: string | number | boolean } | { expected: string } {
  switch (declared.type) {
    case "string":
      return { value: written };
    case "number":
      return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?$/.test(written) && Number.isFinite(Number(written))
        ? { value: Number(written) }
        : { expected: "a number" };
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
