import type { z } from "zod";
import { EARLY_HINT, type ProblemPlace } from "./fields.ts";
import { type Finding, nearHint, type Path, quote } from "./finding.ts";

type Issue = z.core.$ZodIssue;

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
};

/** What a schema found, in the words of the file. `known` lists the keys that the mapping at a path may have. */
export function schemaFindings(
  issues: readonly Issue[],
  root: unknown,
  known: (path: Path) => readonly string[],
): Finding[] {
  return issues.flatMap((issue) => toFindings(issue, [], root, known));
}

function toFindings(issue: Issue, base: Path, root: unknown, known: (path: Path) => readonly string[]): Finding[] {
  const path = [...base, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))];
  const value = valueAt(root, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        path: [...path, key],
        atKey: true,
        message: `unknown key ${quote(key)}`,
        hint: () => nearHint(key, known(path)),
      }));
    case "invalid_union":
      return unionFindings(issue, path, root, known);
    case "invalid_key":
      return issue.issues
        .flatMap((inner) => toFindings(inner, path, root, known))
        .map((it) => ({ ...it, path, atKey: true }));
    case "custom":
      return [customFinding(issue, path)];
    default:
      return [{ path, ...describe(issue, value, path), ...(value === undefined ? { atKey: true } : {}) }];
  }
}

/** The complaints of the branch that fits the value's type, else all the types that would do. */
function unionFindings(
  issue: z.core.$ZodIssueInvalidUnion,
  path: Path,
  root: unknown,
  known: (path: Path) => readonly string[],
): Finding[] {
  const value = valueAt(root, path);
  const wrongType = (branch: readonly Issue[]) =>
    branch.some((it) => it.path.length === 0 && (it.code === "invalid_type" || isOtherType(it, value)));
  const fitting = issue.errors.find((branch) => branch.length > 0 && !wrongType(branch));
  if (fitting !== undefined) return fitting.flatMap((inner) => toFindings(inner, path, root, known));
  const expected = new Set(issue.errors.flat().map((it) => ("expected" in it ? typeName(String(it.expected)) : "")));
  return [{ path, ...mismatch([...expected].filter(Boolean).join(" or "), value, path) }];
}

function isOtherType(issue: Issue, value: unknown): boolean {
  return issue.code === "invalid_value" && issue.values.every((it) => typeof it !== typeof value);
}

function customFinding(issue: z.core.$ZodIssueCustom, path: Path): Finding {
  // As `report` writes them; absent for what the schema library itself refines.
  const { hint, atKey, others = [], depth = 0 }: ProblemPlace & { depth?: number } = issue.params ?? {};
  const base = path.slice(0, path.length - depth);
  return {
    path,
    message: issue.message,
    others: others.map((other) => [...base, ...other]),
    ...(atKey === true ? { atKey } : {}),
    ...(hint === undefined ? {} : { hint }),
  };
}

function describe(issue: Issue, value: unknown, path: Path): Pick<Finding, "message" | "hint"> {
  switch (issue.code) {
    case "invalid_type":
      return mismatch(typeName(issue.expected), value, path);
    case "invalid_value": {
      const values = issue.values.map(String);
      const hint = typeof value === "string" ? { hint: () => nearHint(value, values) } : {};
      return { message: `must be ${values.join(" or ")}, not ${kindOf(value)}`, ...hint };
    }
    case "too_small":
      if (issue.origin === "array") return { message: "must not be empty" };
      return {
        message: `must be ${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}, not ${kindOf(value)}`,
      };
    case "too_big":
      if (issue.origin === "array") return { message: `must have at most ${issue.maximum} items` };
      return { message: `must be at most ${issue.maximum}, not ${kindOf(value)}` };
    default:
      return { message: issue.message };
  }
}

function mismatch(expected: string, value: unknown, path: Path): Pick<Finding, "message" | "hint"> {
  if (value === undefined) return { message: `${quote(path.at(-1) ?? "the file")} is required: ${expected}` };
  if (value === null) return { message: `must be ${expected}, but is empty`, hint: "write a value or remove the key" };
  const message = `must be ${expected}, not ${kindOf(value)}`;
  if (typeof value === "string" && value.includes("${{")) {
    return { message, hint: EARLY_HINT };
  }
  if (expected.includes("text") && typeof value === "number")
    return { message, hint: "write a unit or put it in quotes" };
  return { message };
}

function typeName(expected: string): string {
  return TYPE_NAMES[expected] ?? expected;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  return quote(value);
}

/** The value at a path of a plain tree; undefined when there is none. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

/** A scalar of a file as text; anything else is none. Its mappings have no prototype: `String` would throw. */
export function scalarAsText(value: unknown): string {
  return typeof value === "object" || value === undefined ? "" : String(value);
}

/** The keys that an object schema knows at a path of values; records and lists are passed through. */
export function knownKeys(schema: unknown, path: Path): readonly string[] {
  let current = unwrap(schema, path[0]);
  for (const [i, part] of path.entries()) current = unwrap(child(current, part), path[i + 1]);
  const shape = Reflect.get(Object(current), "shape");
  return typeof shape === "object" && shape !== null ? Object.keys(shape) : [];
}

function child(schema: unknown, part: string | number): unknown {
  const def = Object(Reflect.get(Object(schema), "def"));
  return def.shape?.[part] ?? def.valueType ?? def.element;
}

/**
 * The object, record or array schema inside optional, default, nullable, transform and union wrappers. Of a union the one
 * that has the next part of the path.
 */
function unwrap(schema: unknown, next: string | number | undefined): unknown {
  const def = Object(Reflect.get(Object(schema), "def"));
  if (def.innerType !== undefined) return unwrap(def.innerType, next);
  if (def.type === "pipe") return unwrap(def.in, next);
  if (!Array.isArray(def.options)) return schema;
  const options: unknown[] = def.options.map((option: unknown) => unwrap(option, next));
  const isList = (option: unknown): boolean => "element" in Object(option);
  const isMapping = (option: unknown): boolean => "shape" in Object(option) || "valueType" in Object(option);
  return options.find(typeof next === "number" ? isList : isMapping) ?? options.find(isList);
}
