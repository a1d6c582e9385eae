import { readArguments, readList, readNamedValue, toArguments } from "./arguments.ts";
import type { Cursor } from "./cursor.ts";
import { hasClosureParameters, typeLength } from "./lookahead.ts";
import type { Call, Closure, Expression, GStringPart } from "./nodes.ts";
import { readParameters } from "./parameters.ts";
import { BUILT_IN_TYPES, type Token } from "./tokens.ts";

const DOTS = [".", "?.", "*.", ".&", ".@"] as const;
const LITERALS: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null };

/** A primary with all that hangs on it: properties, indexes, arguments, closures. */
export function readPath(cursor: Cursor): Expression {
  const { start } = cursor.peek();
  const head = readElements(cursor, readPrimary(cursor), start);
  cursor.lastPath = head;
  return head;
}

/** All that hangs on what began at `start`. */
export function readElements(cursor: Cursor, first: Expression, start: number): Expression {
  let head = first;
  for (;;) {
    const longer = readElement(cursor, head, start);
    if (longer === undefined) return head;
    head = longer;
  }
}

function readElement(cursor: Cursor, head: Expression, start: number): Expression | undefined {
  const { type, text } = cursor.afterNewlines();
  if (type !== "operator") return undefined;
  if (DOTS.some((dot) => dot === text)) return readProperty(cursor, head, start);
  if (text === "{") {
    cursor.skipNewlines();
    return appendClosure(head, readClosure(cursor), start);
  }
  if (cursor.peek().type === "newline") return undefined;
  if (text === "(") {
    cursor.next();
    const args = readArguments(cursor, ")");
    cursor.expect(")");
    return call(head, args, cursor.span(start));
  }
  if (text !== "[") return undefined;
  cursor.next();
  const items = readArguments(cursor, "]");
  cursor.expect("]");
  const [only] = items;
  const right: Expression =
    items.length === 1 && only !== undefined ? only : { kind: "list", items, ...cursor.span(start) };
  return { kind: "binary", operator: "[", left: head, right, ...cursor.span(start) };
}

function readProperty(cursor: Cursor, object: Expression, start: number): Expression {
  cursor.skipNewlines();
  cursor.next();
  cursor.skipNewlines();
  if (cursor.is("<")) skipTypeArguments(cursor);
  if (cursor.take("@")) cursor.skipNewlines();
  const { type } = cursor.peek();
  if (type === "identifier" || type === "keyword") {
    const name = cursor.next().text;
    return { kind: "property", object, name, ...cursor.span(start) };
  }
  if (type === "string" || type === "gstring") {
    const { value } = cursor.next();
    return { kind: "property", object, name: typeof value === "string" ? value : undefined, ...cursor.span(start) };
  }
  if (!cursor.is("(", "{")) cursor.unexpected("expecting a name after the dot");
  readPrimary(cursor);
  return { kind: "property", object, name: undefined, ...cursor.span(start) };
}

function skipTypeArguments(cursor: Cursor): void {
  while (!cursor.is(">", ">>", ">>>")) {
    const { type } = cursor.peek();
    if (type === "end" || type === "newline") cursor.unexpected("expecting '>'");
    cursor.next();
  }
  cursor.next();
}

/** `foo(args)` calls foo on the script, `a.b(args)` b of a; all else is itself called. */
export function call(head: Expression, args: readonly Expression[], span: { start: number; end: number }): Call {
  const { start, end } = head;
  if (head.kind === "variable" && head.name !== "this" && head.name !== "super")
    return { kind: "call", method: { kind: "constant", value: head.name, start, end }, args, ...span };
  const isText = head.kind === "gstring" || (head.kind === "constant" && typeof head.value === "string");
  if (isText) return { kind: "call", method: head, args, ...span };
  if (head.kind === "property" && head.name !== undefined)
    return {
      kind: "call",
      target: head.object,
      method: { kind: "constant", value: head.name, start, end },
      args,
      ...span,
    };
  return { kind: "call", target: head, method: { kind: "constant", value: "call", start, end }, args, ...span };
}

function appendClosure(head: Expression, closure: Closure, start: number): Expression {
  const span = { start, end: closure.end };
  return head.kind === "call" ? { ...head, args: [...head.args, closure], ...span } : call(head, [closure], span);
}

/** A closure, from its brace on. */
export function readClosure(cursor: Cursor): Closure {
  return cursor.nested(() => {
    const { start } = cursor.peek();
    cursor.next();
    if (hasClosureParameters(cursor)) readParameters(cursor, "->");
    const body = cursor.rules.statements(cursor);
    cursor.expect("}");
    const span = cursor.span(start);
    return { kind: "closure", body: body.statements.length === 0 ? { ...body, ...span } : body, ...span };
  });
}

/** A name, literal, list, map, closure, `new`, or something in parentheses. */
export function readPrimary(cursor: Cursor): Expression {
  const token = cursor.peek();
  const { type, start } = token;
  if (type === "identifier") {
    cursor.next();
    return { kind: "variable", name: token.text, ...cursor.span(start) };
  }
  if (type === "string" || type === "number") return readConstant(cursor);
  if (type === "gstring") return readGString(cursor);
  if (type === "keyword") return readKeyword(cursor, token);
  if (cursor.is("{")) return readClosure(cursor);
  if (cursor.is("[")) return cursor.nested(() => readList(cursor));
  if (!cursor.is("(")) cursor.unexpected();
  return cursor.nested(() => readParenthesised(cursor));
}

function readParenthesised(cursor: Cursor): Expression {
  const { start } = cursor.next();
  const inner = cursor.rules.expression(cursor);
  cursor.expect(")");
  return { ...inner, ...cursor.span(start) };
}

function readConstant(cursor: Cursor): Expression {
  const { start, value = "", isDecimal = false } = cursor.next();
  return { kind: "constant", value, isDecimal, ...cursor.span(start) };
}

function readGString(cursor: Cursor): Expression {
  const { start, parts = [] } = cursor.next();
  const read = cursor.nested(() =>
    parts.map(
      (part): GStringPart =>
        part.kind === "text" ? part : { kind: "code", expression: readCode(cursor, part.tokens) },
    ),
  );
  return { kind: "gstring", parts: read, ...cursor.span(start) };
}

function readCode(cursor: Cursor, tokens: readonly Token[]): Expression | undefined {
  const inner = cursor.inside(tokens);
  inner.skipNewlines();
  if (inner.take("->")) inner.skipNewlines();
  const { statements } = inner.rules.statements(inner);
  if (inner.peek().type !== "end") inner.unexpected();
  const [only] = statements;
  return statements.length === 1 && only?.kind === "expression" ? only.expression : undefined;
}

function readKeyword(cursor: Cursor, { text, start }: Token): Expression {
  if (text in LITERALS) {
    cursor.next();
    return { kind: "constant", value: LITERALS[text] ?? null, ...cursor.span(start) };
  }
  if (text === "this" || text === "super") {
    cursor.next();
    return { kind: "variable", name: text, ...cursor.span(start) };
  }
  if (text === "new") return readNew(cursor);
  if (!BUILT_IN_TYPES.has(text)) cursor.unexpected();
  const length = typeLength(cursor, 0);
  cursor.index += length;
  return length === 1
    ? { kind: "variable", name: text, ...cursor.span(start) }
    : { kind: "other", ...cursor.span(start) };
}

/** `new Type(args)`, `new Type[n]`, with a body or without. */
function readNew(cursor: Cursor): Expression {
  const { start } = cursor.next();
  cursor.skipNewlines();
  const length = newTypeLength(cursor);
  if (length === 0) cursor.unexpected("expecting a type");
  cursor.index += length;
  if (cursor.take("(")) {
    toArguments(cursor, readNamedValue, ")");
    cursor.expect(")");
    if (cursor.is("{")) {
      const { match } = cursor.peek();
      cursor.index = (match ?? cursor.index) + 1;
    }
  } else if (!cursor.is("[")) cursor.unexpected("expecting '(' or '['");
  return { kind: "other", ...cursor.span(start) };
}

/** As any type, or with the diamond. */
function newTypeLength(cursor: Cursor): number {
  const length = typeLength(cursor, 0);
  if (length > 0) return length;
  let at = 1;
  while (cursor.peek(at).text === "." && cursor.peek(at + 1).type === "identifier") at += 2;
  const isDiamond =
    cursor.peek().type === "identifier" && cursor.peek(at).text === "<" && cursor.peek(at + 1).text === ">";
  return isDiamond ? at + 2 : 0;
}
