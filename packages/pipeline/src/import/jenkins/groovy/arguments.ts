import type { Cursor } from "./cursor.ts";
import type { Entry, Expression } from "./nodes.ts";
import { GroovySyntaxError, type Token } from "./tokens.ts";

/** An argument: a value, with its name where it has one. */
type Argument = Expression | Entry;

const isEntry = (argument: Argument): argument is Entry => "key" in argument;
const isValue = (argument: Argument): argument is Expression => !isEntry(argument);

/** Arguments up to `close`, which is left: those with names come first, as one map. */
export function readArguments(cursor: Cursor, close: ")" | "]"): readonly Expression[] {
  return cursor.nested(() => toArguments(cursor, readNamedValue, close));
}

/** Arguments without parentheses, to the end of the statement. */
export function readCommandArguments(cursor: Cursor): readonly Expression[] {
  return toArguments(cursor, readCommandValue, undefined);
}

/** Reads values with commas between; `close` undefined: there is at least one, and no comma after the last. */
export function toArguments(
  cursor: Cursor,
  read: (cursor: Cursor) => Argument,
  close: ")" | "]" | undefined,
): readonly Expression[] {
  const { start } = cursor.peek();
  const all: Argument[] = [];
  while (close === undefined || !cursor.is(close)) {
    all.push(read(cursor));
    if (!cursor.take(",")) break;
    if (close === undefined) cursor.skipNewlines();
  }
  const entries = all.filter(isEntry);
  const values = all.filter(isValue);
  if (entries.length === 0) return values;
  refuseDuplicates(entries);
  return [{ kind: "map", entries, ...cursor.span(start) }, ...values];
}

/** Groovy finds these while it builds its tree. */
function refuseDuplicates(entries: readonly Entry[]): void {
  const seen = new Set<unknown>();
  for (const { key } of entries) {
    if (key.kind !== "constant") continue;
    if (seen.has(key.value))
      throw new GroovySyntaxError(`Duplicate named parameter '${String(key.value)}' found.`, key.start);
    seen.add(key.value);
  }
}

/** An argument in parentheses, or an item of a list or map. */
export function readNamedValue(cursor: Cursor): Argument {
  const { start } = cursor.peek();
  if (cursor.take("*")) {
    if (!cursor.take(":")) return spread(cursor, start);
    const key: Expression = { kind: "other", ...cursor.span(start) };
    return { key, value: cursor.rules.expression(cursor), ...cursor.span(start) };
  }
  return isLabelled(cursor) ? readEntry(cursor, start) : cursor.rules.expression(cursor);
}

function spread(cursor: Cursor, start: number): Expression {
  cursor.rules.expression(cursor);
  return { kind: "other", ...cursor.span(start) };
}

function readCommandValue(cursor: Cursor): Argument {
  return isLabelled(cursor) ? readEntry(cursor, cursor.peek().start) : cursor.rules.expression(cursor);
}

function isLabelled(cursor: Cursor): boolean {
  const token = cursor.peek();
  const close = cursor.is("(") ? token.match : cursor.index;
  if (close === undefined || (token.type === "operator" && !cursor.is("("))) return false;
  const after = cursor.peek(close - cursor.index + 1);
  return after.type === "operator" && after.text === ":";
}

function readEntry(cursor: Cursor, start: number): Entry {
  const key = readLabel(cursor, cursor.peek());
  cursor.expect(":");
  cursor.skipNewlines();
  return { key, value: cursor.rules.expression(cursor), ...cursor.span(start) };
}

/** A name stands for itself. */
function readLabel(cursor: Cursor, { type, text, start }: Token): Expression {
  if (type !== "identifier" && type !== "keyword") return cursor.rules.expression(cursor);
  cursor.next();
  return { kind: "constant", value: text, ...cursor.span(start) };
}

/** A list or map, from its bracket on. */
export function readList(cursor: Cursor): Expression {
  const { start } = cursor.next();
  if (cursor.take(":")) {
    cursor.expect("]");
    return { kind: "map", entries: [], ...cursor.span(start) };
  }
  const items: Argument[] = [];
  while (!cursor.is("]")) {
    items.push(readNamedValue(cursor));
    if (!cursor.take(",")) break;
  }
  cursor.expect("]");
  const entries = items.filter(isEntry);
  if (entries.length === 0) return { kind: "list", items: items.filter(isValue), ...cursor.span(start) };
  if (entries.length < items.length)
    throw new GroovySyntaxError("a list whose items have names in part; give a name to all or to none", start);
  return { kind: "map", entries, ...cursor.span(start) };
}
