import type { Arguments, MethodCall, Value } from "./model.ts";
import type { Problems } from "./problems.ts";
import { BLOCKED_CALLS, CALLS, type ParameterKind, type Signature } from "./registry.ts";

const CLASSES = { string: "class java.lang.String", int: "int", any: "" } as const;

/** The one parameter that must be given, where there is just one. */
export function soleParameter({ required }: Signature): string | undefined {
  return required.length === 1 ? required[0] : undefined;
}

/** What checkArguments looks at. */
export interface Described {
  readonly name: string;
  readonly args: Arguments;
  readonly signature: Signature;
  readonly at: number;
  /** A lone value is fine although nothing is required. */
  readonly takesOne?: boolean;
}

/** Checks arguments against what is taken: names, what is missing, and the types that Jenkins tells apart. */
export function checkArguments({ name, args, signature, at, takesOne = false }: Described, problems: Problems): void {
  if (args.kind === "positional") {
    problems.add(`Arguments to "${name}" must be explicitly named.`, at);
  } else if (args.kind === "single") {
    const sole = soleParameter(signature);
    if (sole !== undefined) checkKind(args.value, signature.parameters[sole] ?? "any", problems);
    else if (!signature.takesBlock && !takesOne)
      problems.add("Step does not take a single required parameter - use named parameters instead", at);
  } else checkNamed(args.entries, { signature, at }, problems);
}

function checkNamed(
  entries: readonly { readonly key: string; readonly value: Value; readonly at: number }[],
  { signature, at }: { readonly signature: Signature; readonly at: number },
  problems: Problems,
): void {
  let isSound = true;
  for (const { key, value, at: place } of entries) {
    const kind = checkKey(key, signature, { problems, at: place });
    if (kind === undefined) isSound = false;
    else checkKind(value, kind, problems, key);
  }
  const missing = signature.required.filter((name) => !entries.some(({ key }) => key === name));
  if (!isSound) return;
  for (const name of missing) problems.add(`Missing required parameter: "${name}"`, at);
}

function checkKey(
  key: string,
  { parameters }: Signature,
  { problems, at }: { readonly problems: Problems; readonly at: number },
): ParameterKind | undefined {
  if (Object.hasOwn(parameters, key)) return parameters[key];
  problems.add(`Invalid parameter "${key}", did you mean "${nearest(key, Object.keys(parameters))}"?`, at);
  return undefined;
}

function checkKind(value: Value, kind: ParameterKind, problems: Problems, key?: string): void {
  if (!value.isLiteral || value.value === null || kind === "any") return;
  const { value: given } = value;
  const isWrong = kind === "string" ? typeof given !== "string" : typeof given !== "number";
  if (!isWrong || (kind === "string" && typeof given === "number" && !Number.isInteger(given))) return;
  const type = { string: "java.lang.String", number: "java.lang.Integer", boolean: "java.lang.Boolean" }[
    typeof given as "string" | "number" | "boolean"
  ];
  const which = key === undefined ? "" : ` for parameter "${key}"`;
  problems.add(
    `Expecting "${CLASSES[kind]}"${which} but got "${String(given)}" of type class ${type} instead`,
    value.at,
  );
}

/** Checks an option, trigger or parameter, with the calls in its arguments. */
export function checkCall(call: MethodCall, problems: Problems): void {
  const signature = CALLS.get(call.name);
  const pairs = call.args.flatMap((arg) => (arg.kind === "pair" ? [arg] : []));
  if (pairs.length > 0 && pairs.length < call.args.length) {
    problems.add("Cannot mix named and unnamed arguments", call.at);
    return;
  }
  for (const arg of call.args) {
    const inner = arg.kind === "pair" ? arg.value : arg;
    if (inner.kind === "call") checkInner(inner, problems);
  }
  if (signature === undefined) return;
  if (pairs.length > 0) {
    for (const { key, value, at } of pairs) {
      const kind = checkKey(key, signature, { problems, at });
      if (kind !== undefined && value.kind === "value") checkKind(value, kind, problems, key);
    }
    return;
  }
  checkUnnamed(call, signature, problems);
}

function checkInner(call: MethodCall, problems: Problems): void {
  const blocked = BLOCKED_CALLS.get(call.name);
  if (blocked === undefined) checkCall(call, problems);
  else problems.add(`Invalid step "${call.name}" used - not allowed in this context - ${blocked}`, call.at);
}

function checkUnnamed(call: MethodCall, signature: Signature, problems: Problems): void {
  const { length } = signature.required;
  const [only] = call.args;
  if (call.args.length > 1) problems.add(`Arguments to "${call.name}" must be explicitly named.`, call.at);
  else if (length !== call.args.length)
    problems.add(
      `"${call.name}" should have ${length} arguments but has ${call.args.length} arguments instead.`,
      call.at,
    );
  else if (only?.kind === "value")
    checkKind(only, signature.parameters[signature.required[0] ?? ""] ?? "any", problems);
}

/** The name that needs the fewest changes (Levenshtein's distance). */
export function nearest(name: string, names: readonly string[]): string {
  const short = name.slice(0, 64);
  let best = names[0] ?? "";
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of names) {
    const distance = editDistance(short, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
