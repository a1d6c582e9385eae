import { readCommandArguments } from "./arguments.ts";
import type { Cursor } from "./cursor.ts";
import { typeLength } from "./lookahead.ts";
import type { Expression } from "./nodes.ts";
import { call, readElements, readPath, readPrimary } from "./paths.ts";
import { BUILT_IN_TYPES, GroovySyntaxError } from "./tokens.ts";
import { unassignable } from "./unassignable.ts";

/** How tight binary operators bind. */
const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["|"],
  ["^"],
  ["&"],
  ["=~", "==~"],
  ["==", "!=", "<=>", "===", "!=="],
  ["<", "<=", ">", ">=", "in", "instanceof", "as"],
  ["<<", ">>", ">>>", "..", "..<"],
  ["+", "-"],
  ["*", "/", "%"],
  ["**"],
];
const PRECEDENCE: ReadonlyMap<string, number> = new Map(
  LEVELS.flatMap((operators, level) => operators.map((operator) => [operator, level] as const)),
);
const ASSIGNMENTS: ReadonlySet<string> = new Set("= += -= *= /= %= >>= >>>= <<= &= ^= |= **=".split(" "));
const PREFIXES: ReadonlySet<string> = new Set(["!", "~", "-", "+", "++", "--"]);
const VALUE_WORDS: ReadonlySet<string> = new Set(["this", "super", "new", "true", "false", "null", ...BUILT_IN_TYPES]);

/** An expression, assignments included. */
export function readExpression(cursor: Cursor): Expression {
  return cursor.nested(() => {
    const { start } = cursor.peek();
    const left = readConditional(cursor);
    const { type, text } = cursor.peek();
    if (type !== "operator" || !ASSIGNMENTS.has(text)) return left;
    refuseUnassignable(left, cursor);
    cursor.next();
    cursor.skipNewlines();
    const right = readCommand(cursor);
    return { kind: "binary", operator: text, left, right, ...cursor.span(start) };
  });
}

/** Groovy refuses what could not be assigned to while it builds its tree. */
function refuseUnassignable(left: Expression, cursor: Cursor): void {
  const problem = unassignable(left);
  if (problem !== undefined) throw new GroovySyntaxError(problem, cursor.peek().start);
}

function readConditional(cursor: Cursor): Expression {
  const { start } = cursor.peek();
  const condition = readBinary(cursor, 0);
  const { type, text } = cursor.afterNewlines();
  if (type !== "operator" || (text !== "?" && text !== "?:")) return condition;
  cursor.skipNewlines();
  cursor.next();
  cursor.skipNewlines();
  if (text === "?") {
    readExpression(cursor);
    cursor.skipNewlines();
    cursor.expect(":");
    cursor.skipNewlines();
  }
  cursor.nested(() => readConditional(cursor));
  return { kind: "other", ...cursor.span(start) };
}

function readBinary(cursor: Cursor, minimum: number): Expression {
  const { start } = cursor.peek();
  let left = readUnary(cursor);
  for (;;) {
    const { type, text } = cursor.peek();
    const level = type === "operator" || type === "keyword" ? PRECEDENCE.get(text) : undefined;
    if (level === undefined || level < minimum) return left;
    cursor.next();
    cursor.skipNewlines();
    if (text === "as" || text === "instanceof") left = readTypeTest(cursor, start);
    else {
      const right = cursor.nested(() => readBinary(cursor, level + 1));
      const isRange = text === ".." || text === "..<";
      left = isRange
        ? { kind: "other", ...cursor.span(start) }
        : { kind: "binary", operator: text, left, right, ...cursor.span(start) };
    }
  }
}

function readTypeTest(cursor: Cursor, start: number): Expression {
  const length = typeLength(cursor, 0);
  if (length === 0) cursor.unexpected("expecting a type");
  cursor.index += length;
  return { kind: "other", ...cursor.span(start) };
}

function readUnary(cursor: Cursor): Expression {
  const { type, text, start } = cursor.peek();
  if (type === "operator" && PREFIXES.has(text)) {
    cursor.next();
    cursor.skipNewlines();
    const operand = cursor.nested(() => readUnary(cursor));
    const isNumber = text === "-" && operand.kind === "constant" && operand.value !== null;
    if (isNumber && (typeof operand.value === "number" || typeof operand.value === "bigint"))
      return { ...operand, value: -operand.value, start };
    if (text === "!") return { kind: "not", operand, ...cursor.span(start) };
    return { kind: "other", ...cursor.span(start) };
  }
  const cast = castLength(cursor);
  if (cast === 0) return readPostfix(cursor);
  cursor.index += cast;
  cursor.nested(() => readUnary(cursor));
  return { kind: "other", ...cursor.span(start) };
}

function readPostfix(cursor: Cursor): Expression {
  const { start } = cursor.peek();
  const path = readPath(cursor);
  if (!cursor.is("++", "--")) return path;
  cursor.next();
  return { kind: "other", ...cursor.span(start) };
}

/** How many tokens `(Type)` before an operand are; 0: no cast begins here. */
function castLength(cursor: Cursor): number {
  if (!cursor.is("(")) return 0;
  const length = typeLength(cursor, 1);
  const close = cursor.peek(length + 1);
  if (length === 0 || close.type !== "operator" || close.text !== ")") return 0;
  const { type, text } = cursor.peek(length + 2);
  const isBuiltIn = BUILT_IN_TYPES.has(cursor.peek(1).text);
  const isOperand =
    type === "identifier" ||
    type === "string" ||
    type === "gstring" ||
    type === "number" ||
    (type === "keyword" && VALUE_WORDS.has(text)) ||
    (type === "operator" && ["(", "[", "!", "~"].includes(text) && (isBuiltIn || /^[A-Z]/.test(cursor.peek(1).text))) ||
    (isBuiltIn && type === "operator" && (text === "-" || text === "+"));
  return isOperand ? length + 2 : 0;
}

/** An expression that may go on as a command: `a b, c d` is `a(b, c).d`. */
export function readCommand(cursor: Cursor): Expression {
  const { start } = cursor.peek();
  let head = readExpression(cursor);
  if (head !== cursor.lastPath) return head;
  if (head.kind !== "call" && startsArgument(cursor))
    head = call(head, readCommandArguments(cursor), cursor.span(start));
  while (startsPrimary(cursor)) {
    const object = { ...head, ...cursor.span(start) };
    const link = readPrimary(cursor);
    const name = link.kind === "variable" ? link.name : undefined;
    const property: Expression = { kind: "property", object, name, ...cursor.span(start) };
    head = readElements(cursor, property, start);
    if (head !== property || !(startsArgument(cursor) || cursor.is("-", "+", "++", "--"))) continue;
    const args = readCommandArguments(cursor);
    const span = cursor.span(start);
    head =
      name === undefined ? { kind: "call", target: object, method: link, args, ...span } : call(property, args, span);
  }
  return { ...head, ...cursor.span(start) };
}

/** What may begin an argument without parentheses, where an operator or bracket was not read as part of the head. */
function startsArgument(cursor: Cursor): boolean {
  const { type, text } = cursor.peek();
  if (type === "operator") return text === "!" || text === "~" || text === "(" || text === "[";
  if (type === "keyword") return VALUE_WORDS.has(text) || isLabel(cursor);
  return type !== "newline" && type !== "end";
}

function isLabel(cursor: Cursor): boolean {
  const { type, text } = cursor.peek(1);
  return type === "operator" && text === ":" && cursor.peek().text !== "else";
}

/** What may go on a chain of commands as a property. */
function startsPrimary(cursor: Cursor): boolean {
  const { type, text } = cursor.peek();
  if (type === "keyword") return VALUE_WORDS.has(text);
  return type === "identifier" || type === "string" || type === "gstring" || type === "number";
}
