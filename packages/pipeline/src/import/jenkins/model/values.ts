import type { Call, Entry, Expression } from "../groovy/nodes.ts";
import { type Reading, readName, readText, sourceText } from "./match.ts";
import type { Arguments, MethodArgument, MethodCall, Pair, Value } from "./model.ts";
import { BARE_AGENTS } from "./registry.ts";

const LONG_MAX = 2n ** 63n - 1n;
const BIG_INTEGER =
  "BigIntegers cannot be used as constants in Declarative. The maximum value for an integer is " +
  "9,223,372,036,854,775,807 and the minimum value for an integer is -9,223,372,036,854,775,808.";

/** A value, as Jenkins shows it: literals decoded, all else as source text. */
export function readValue(expression: Expression, reading: Reading): Value {
  const at = expression.start;
  const literal = (value: Value["value"]): Value => ({ kind: "value", isLiteral: true, value, expression, at });
  const code = (value: string): Value => ({ kind: "value", isLiteral: false, value, expression, at });
  if (expression.kind === "constant") return literal(constantValue(expression.value, at, reading));
  if (expression.kind === "gstring" || expression.kind === "map") return code(sourceText(expression, reading));
  if (expression.kind === "variable" && BARE_AGENTS.has(expression.name)) return literal(expression.name);
  const text = sourceText(expression, reading);
  if (text.startsWith("${"))
    reading.problems.add(`${text} cannot be used as a value directly. Did you mean "${text}"?`, at);
  return code(`\${${text}}`);
}

function constantValue(
  value: string | number | bigint | boolean | null,
  at: number,
  { problems }: Reading,
): Value["value"] {
  if (typeof value !== "bigint") return value;
  if (value <= LONG_MAX && value >= -LONG_MAX - 1n) return Number(value);
  problems.add(BIG_INTEGER, at);
  return -1;
}

/** The arguments of a step or condition, without a closure. */
export function readArgumentList(args: readonly Expression[], reading: Reading): Arguments {
  const [only] = args;
  if (only === undefined) return { kind: "named", entries: [] };
  if (args.length > 1) return { kind: "positional", values: args.map((arg) => readValue(arg, reading)) };
  if (only.kind !== "map" || only.entries.some(({ key }) => isMetaKey(key)))
    return { kind: "single", value: readValue(only, reading) };
  return { kind: "named", entries: only.entries.map((entry) => readPair(entry, reading)) };
}

const isMetaKey = (key: Expression): boolean => key.kind === "constant" && key.value === "$class";

function readPair({ key, value, start }: Entry, reading: Reading): Pair<Value> {
  return { key: readText(key, reading), value: readValue(value, reading), at: start };
}

/** An option, trigger or parameter, with calls in its arguments. */
export function readMethodCall(call: Call, reading: Reading): MethodCall {
  const args = call.args.flatMap((arg): readonly MethodArgument[] => {
    if (arg.kind !== "map") return readMethodArgument(arg, reading);
    return arg.entries.flatMap((entry): readonly MethodArgument[] =>
      readMethodArgument(entry.value, reading).map((value): MethodArgument => {
        const key = readText(entry.key, reading);
        return value.kind === "pair" ? value : { kind: "pair", key, value, at: entry.start };
      }),
    );
  });
  return { kind: "call", name: readName(call, reading), args, at: call.start };
}

function readMethodArgument(arg: Expression, reading: Reading): readonly MethodArgument[] {
  if (arg.kind === "closure") {
    reading.problems.add("Method call arguments", arg.start);
    return [];
  }
  return [arg.kind === "call" ? readMethodCall(arg, reading) : readValue(arg, reading)];
}
