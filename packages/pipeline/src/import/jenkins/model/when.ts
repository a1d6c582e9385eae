import type { Statement } from "../groovy/nodes.ts";
import { checkArguments } from "./describable.ts";
import { blockOf, callOf, type Reading, readName } from "./match.ts";
import type { Arguments, Condition, When } from "./model.ts";
import { CONDITIONS, NESTED_CONDITIONS, SOLE_OF_CONDITIONS } from "./registry.ts";
import { readBoolean, readCode } from "./steps.ts";
import { readArgumentList } from "./values.ts";

const FLAGS = ["beforeAgent", "beforeInput", "beforeOptions"] as const;

/** A `when` section. */
export function readWhen(statement: Statement, reading: Reading): When {
  const { problems } = reading;
  const block = blockOf(statement)?.body;
  const { start: at } = statement;
  if (block === undefined) {
    problems.add("Expected a block for when", at);
    return { conditions: [], at };
  }
  const flags: { -readonly [key in (typeof FLAGS)[number]]?: boolean } = {};
  const conditions: Condition[] = [];
  for (const one of block.statements) {
    const call = callOf(one);
    const flag = FLAGS.find((it) => call !== undefined && it === readName(call, reading));
    if (flag !== undefined) {
      const value = readBoolean(call?.args[0], flag, reading);
      if (value !== undefined) flags[flag] = value;
      continue;
    }
    const condition = readCondition(one, reading);
    if (condition !== undefined) conditions.push(condition);
  }
  if (conditions.length === 0) problems.add("Empty when closure, remove the property or add some content.", at);
  return { conditions, ...flags, at };
}

function readCondition(statement: Statement, reading: Reading): Condition | undefined {
  const call = callOf(statement);
  const { start: at } = statement;
  if (call === undefined) {
    reading.problems.add("Expected a when condition", at);
    return undefined;
  }
  const name = readName(call, reading);
  const block = blockOf(statement);
  if (name === "expression") {
    const code = readCode(name, { block: block?.body, at }, reading);
    return { name, at, ...(code === undefined ? {} : { code }) };
  }
  const args = readArgumentList(block?.args ?? call.args, reading);
  const children = block?.body.statements.flatMap((one) => readCondition(one, reading) ?? []);
  const hasArguments = block === undefined || block.args.length > 0;
  const condition: Condition = {
    ...{ name, at },
    ...(hasArguments ? { args } : {}),
    ...(children === undefined ? {} : { children }),
  };
  checkCondition(condition, reading);
  return condition;
}

function checkCondition({ name, args, children, at }: Condition, { problems }: Reading): void {
  if (NESTED_CONDITIONS.has(name)) {
    const wanted = NESTED_CONDITIONS.get(name);
    const count = children?.length ?? 0;
    if (args !== undefined)
      problems.add(`No additional arguments are allowed for children when condition "${name}".`, at);
    else if (wanted === undefined && count === 0)
      problems.add(`Nested when condition "${name}" requires at least one child condition.`, at);
    else if (wanted !== undefined && count !== wanted)
      problems.add(`Nested when condition "${name}" requires exactly ${wanted} child condition(s).`, at);
    return;
  }
  const signature = CONDITIONS.get(name);
  if (signature === undefined) {
    const known = [...NESTED_CONDITIONS.keys(), "expression", ...CONDITIONS.keys()].sort().join(", ");
    if (name !== "error") problems.add(`Unknown conditional ${name}. Valid conditionals are: ${known}`, at);
  } else if (children !== undefined && children.length > 0)
    problems.add(`No children when conditions are allowed for when condition "${name}".`, at);
  else if (args !== undefined) {
    checkArguments({ name, args, signature, at, takesOne: SOLE_OF_CONDITIONS.has(name) }, problems);
    if (name === "changelog") checkPattern(args, problems);
  }
}

/** Only what no dialect would read is refused: the pattern is Java's. */
function checkPattern(args: Arguments, problems: Reading["problems"]): void {
  const value = args.kind === "single" ? args.value : args.kind === "named" ? args.entries[0]?.value : undefined;
  if (value?.isLiteral !== true || typeof value.value !== "string") return;
  const problem = patternProblem(value.value);
  if (problem !== undefined) problems.add(`"${value.value}" is not a valid regular expression. ${problem}`, value.at);
}

/** A backslash, and what belongs to it: quoted text, a class or character by name, else one character. */
const ESCAPE = /^\\(Q[\s\S]*?(?:\\E|$)|[pPxN]\{[^}]*\}|.)/;

function patternProblem(pattern: string): string | undefined {
  let depth = 0;
  let isInClass = false;
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i];
    if (char === "\\") i += ESCAPE.exec(pattern.slice(i))?.[1]?.length ?? 1;
    else if (isInClass) isInClass = char !== "]";
    else if (char === "[") isInClass = true;
    else if (char === "(") depth++;
    else if (char === "{" && !/[0-9]/.test(pattern[i + 1] ?? "")) return "Illegal repetition";
    else if (char === ")" && --depth < 0) return "Unmatched closing ')'";
  }
  if (isInClass) return "Unclosed character class";
  if (depth > 0) return "Unclosed group";
  return /^[*+?]/.test(pattern) ? `Dangling meta character '${pattern[0]}'` : undefined;
}
