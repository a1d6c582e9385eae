import type { Call, Expression, Statement } from "../groovy/nodes.ts";
import { checkCall } from "./describable.ts";
import { blockOf, callOf, matchName, type Reading, readText, sectionBlock, sourceText } from "./match.ts";
import type { Calls, Environment, EnvironmentValue, MethodCall, Pair, Post, Tools, Value } from "./model.ts";
import { OPTIONS, PARAMETERS, POST_CONDITIONS, STAGE_OPTIONS, TOOLS, TRIGGERS } from "./registry.ts";
import { readBranch } from "./steps.ts";
import { readMethodCall, readValue } from "./values.ts";

/** How the sections that are lists of calls differ. */
const CALL_SECTIONS = {
  options: { one: "option", title: "Options", expected: "Expected an option", known: OPTIONS, isUnique: true },
  stageOptions: {
    one: "option",
    title: "Options",
    expected: "Expected an option",
    known: STAGE_OPTIONS,
    isUnique: true,
  },
  triggers: { one: "trigger", title: "Triggers", expected: "Expected a trigger", known: TRIGGERS, isUnique: true },
  parameters: {
    ...{ one: "parameter", title: "Build parameters", expected: "Expected a build parameter definition" },
    ...{ known: PARAMETERS, isUnique: false },
  },
} as const;

/** Job properties that are sections of their own. */
const OWN_SECTIONS: Readonly<Record<string, string | undefined>> = {
  parameters: "parameters",
  pipelineTriggers: "triggers",
  triggers: "triggers",
};

/** `options`, `triggers` or `parameters`. */
export function readCalls(statement: Statement, kind: keyof typeof CALL_SECTIONS, reading: Reading): Calls {
  const section = kind === "stageOptions" ? "options" : kind;
  const block = sectionBlock(statement, section, reading);
  const { start: at } = statement;
  if (block === undefined) return { calls: [], at };
  const { problems } = reading;
  if (block.statements.length === 0) problems.add(`${section} can not be empty`, at);
  const calls = block.statements.flatMap((one) => readCall(one, kind, reading) ?? []);
  const { one, isUnique } = CALL_SECTIONS[kind];
  if (isUnique) {
    for (const name of repeated(calls.map((call) => call.name))) problems.add(`Duplicate ${one} name: "${name}"`, at);
  }
  return { calls, at };
}

function readCall(statement: Statement, kind: keyof typeof CALL_SECTIONS, reading: Reading): MethodCall | undefined {
  const { one, title, expected, known } = CALL_SECTIONS[kind];
  const { problems } = reading;
  const call = callOf(statement);
  if (call === undefined) {
    const isMap = statement.kind === "expression" && statement.expression.kind === "map";
    problems.add(isMap ? `${title} cannot be defined as maps` : expected, statement.start);
    return undefined;
  }
  if (blockOf(statement) !== undefined) {
    problems.add(`${title} definitions cannot have blocks`, statement.start);
    return undefined;
  }
  const read = readMethodCall(call, reading);
  const section = one === "option" ? OWN_SECTIONS[read.name] : undefined;
  if (section !== undefined) {
    problems.add(
      `The "${section}" job property can't be used in the "options" directive. ` +
        `Use the "${section} {...}" directive instead.`,
      statement.start,
    );
    return read;
  }
  if (read.name !== "error" && !known.has(read.name))
    problems.add(`Invalid ${one} type "${read.name}". Valid ${one} types: [${[...known].join(", ")}]`, read.at);
  else checkCall(read, problems);
  return read;
}

/** Names that come more than once. */
export function repeated(names: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) twice.add(name);
    seen.add(name);
  }
  return [...twice];
}

/** The `tools` section. */
export function readTools(statement: Statement, reading: Reading): Tools {
  const block = sectionBlock(statement, "tools", reading);
  const { problems } = reading;
  if (block === undefined) return { entries: [], at: statement.start };
  if (block.statements.length === 0) problems.add("No tools specified", statement.start);
  const entries = block.statements.flatMap((one): Pair<Value>[] => {
    const call = callOf(one);
    if (call === undefined) {
      problems.add('Expected to find ‘someTool "someVersion"’', one.start);
      return [];
    }
    const key = readText(call.method, reading);
    const value = readOnly(
      call,
      { none: `No argument for tool "${key}"`, many: `Too many arguments for tool "${key}"` },
      reading,
    );
    if (!TOOLS.has(key) && !key.includes("."))
      problems.add(`Invalid tool type "${key}". Valid tool types: [${[...TOOLS].join(", ")}]`, one.start);
    return value === undefined ? [] : [{ key, value: readValue(value, reading), at: one.start }];
  });
  return { entries, at: statement.start };
}

/** The one argument of a call; reported when there are none or more. */
export function readOnly(
  { args, start }: Call,
  { none, many }: { readonly none: string; readonly many: string },
  { problems }: Reading,
): Expression | undefined {
  if (args.length === 1) return args[0];
  problems.add(args.length === 0 ? none : many, start);
  return undefined;
}

/** The `libraries` section. */
export function readLibraries(statement: Statement, reading: Reading): readonly Value[] {
  const block = sectionBlock(statement, "libraries", reading);
  const { problems } = reading;
  if (block === undefined) return [];
  const libraries = block.statements.flatMap((one): Value[] => {
    const call = callOf(one);
    const refuse = (): Value[] => {
      problems.add(`Expected a "lib(...)" but got ${sourceText(one, reading)}`, one.start);
      return [];
    };
    if (call === undefined || matchName(call) !== "lib") return refuse();
    if (blockOf(one) !== undefined) {
      problems.add("Libraries definitions cannot have blocks", one.start);
      return [];
    }
    const [only, ...others] = readMethodCall(call, reading).args;
    return only?.kind === "value" && others.length === 0 ? [only] : refuse();
  });
  if (libraries.length === 0) problems.add("libraries can not be empty", statement.start);
  return libraries;
}

/** The `post` section of a stage or pipeline. */
export function readPost(statement: Statement, reading: Reading): Post {
  const { problems } = reading;
  const body = blockOf(statement)?.body;
  const { start: at } = statement;
  if (body === undefined) {
    problems.add("Expected a block", at);
    return { conditions: [], at };
  }
  const valid = `[${POST_CONDITIONS.join(", ")}]`;
  const conditions = body.statements.flatMap((one): Post["conditions"] => {
    const block = blockOf(one);
    if (block === undefined) {
      const message = `The ‘post’ section can only contain build condition names with code blocks. Valid condition names are ${valid}`;
      problems.add(message, one.start);
      return [];
    }
    if (!POST_CONDITIONS.some((name) => name === block.name))
      problems.add(`Invalid condition "${block.name}" - valid conditions are ${valid}`, one.start);
    return [{ condition: block.name, branch: readBranch("default", block.body, reading), at: one.start }];
  });
  if (conditions.length === 0) problems.add("post can not be empty", at);
  for (const name of repeated(conditions.map((it) => it.condition)))
    problems.add(`Duplicate build condition name: "${name}"`, at);
  return { conditions, at };
}

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
const JAVA_WORDS: ReadonlySet<string> = new Set(
  (
    "abstract assert boolean break byte case catch char class const continue default do double else enum extends false " +
    "final finally float for goto if implements import instanceof int interface long native new null package private " +
    "protected public return short static strictfp super switch synchronized this throw throws transient true try void " +
    "volatile while _"
  ).split(" "),
);

/** The `environment` section. */
export function readEnvironment(statement: Statement, reading: Reading): Environment {
  const block = sectionBlock(statement, "environment", reading);
  const { problems } = reading;
  const { start: at } = statement;
  if (block === undefined) return { entries: [], at };
  const seen = new Set<string>();
  const entries = block.statements.flatMap((one): Pair<EnvironmentValue>[] => {
    const entry = readVariable(one, reading);
    if (entry === undefined) return [];
    if (seen.has(entry.key)) problems.add(`Duplicate environment variable name: "${entry.key}"`, entry.at);
    seen.add(entry.key);
    return [entry];
  });
  if (entries.length === 0) problems.add("No variables specified for environment", at);
  return { entries, at };
}

function readVariable(statement: Statement, reading: Reading): Pair<EnvironmentValue> | undefined {
  const { problems } = reading;
  const { start: at } = statement;
  const pair = statement.kind === "expression" ? statement.expression : undefined;
  if (pair?.kind !== "binary" || pair.operator !== "=") {
    const text = sourceText(statement, reading);
    if (text.includes("=")) problems.add(notAnIdentifier(text.split("=")[0]?.trim() ?? ""), at);
    else
      problems.add(
        `"${text}" is not a valid environment expression. Use "key = value" pairs with valid Java/shell keys.`,
        at,
      );
    problems.add("Expected name=value pairs", at);
    return undefined;
  }
  const key = readText(pair.left, reading);
  if (!isIdentifier(key)) reading.problems.add(notAnIdentifier(key), at);
  const value = readVariableValue(pair.right, reading);
  return value === undefined ? undefined : { key, value, at };
}

/** Can be the name of an environment variable or axis. */
export const isIdentifier = (name: string): boolean => IDENTIFIER.test(name) && !JAVA_WORDS.has(name);

/** What to say of a name that can not. */
export function notAnIdentifier(name: string): string {
  return (
    `"${name}" is not a valid identifier and cannot be used for an environment variable. Identifiers must start with a ` +
    "letter or underscore and can contain only letters, numbers or underscores."
  );
}

function readVariableValue(right: Expression, reading: Reading): EnvironmentValue | undefined {
  const { problems } = reading;
  if (right.kind === "constant" || right.kind === "gstring") return readValue(right, reading);
  if (right.kind === "call")
    return matchName(right) === "credentials" ? readCredentials(right, reading) : readValue(right, reading);
  if (right.kind !== "binary" || right.operator === "[") {
    problems.add(
      "Environment variable values must either be single quoted, double quoted, or function calls.",
      right.start,
    );
    return undefined;
  }
  const parts = readSum(right, reading);
  if (parts === undefined) return undefined;
  const values = parts.map((part) => readValue(part, reading));
  const isLiteral = values.every((value) => value.isLiteral);
  const value = values.map((it) => (it.isLiteral ? String(it.value) : trimQuotes(String(it.value)))).join("");
  return { kind: "value", isLiteral, value, expression: right, at: right.start };
}

/** The parts of `a + b + c`; undefined when it is something else, which is reported. */
function readSum(sum: Expression, { problems }: Reading): readonly Expression[] | undefined {
  const parts: Expression[] = [];
  let isSound = true;
  let left = sum;
  while (left.kind === "binary" && left.operator !== "[") {
    if (left.operator !== "+") {
      problems.add("Environment variable values can only be joined together with ‘+’s.", left.start);
      return undefined;
    }
    parts.push(left.right);
    left = left.left;
  }
  parts.push(left);
  for (const part of parts) {
    if (part.kind === "constant" || part.kind === "gstring") continue;
    problems.add(
      "Environment variable values to be concatenated together must be single or double quoted.",
      part.start,
    );
    isSound = false;
  }
  return isSound ? parts.reverse() : undefined;
}

function trimQuotes(text: string): string {
  let inner = text;
  while (
    inner.length > 1 &&
    ((inner.startsWith('"') && inner.endsWith('"')) || (inner.startsWith("'") && inner.endsWith("'")))
  )
    inner = inner.slice(1, -1);
  return inner;
}

function readCredentials(call: Call, reading: Reading): MethodCall {
  const args = call.args.flatMap((arg): Value[] => {
    if (arg.kind === "constant" || arg.kind === "gstring") return [readValue(arg, reading)];
    reading.problems.add("Internal function call parameters must be strings.", arg.start);
    return [];
  });
  return { kind: "call", name: "credentials", args, at: call.start };
}
