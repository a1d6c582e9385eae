import type { Cursor } from "./cursor.ts";
import { modifiersLength, typeLength } from "./lookahead.ts";
import type { Block, Expression, Statement } from "./nodes.ts";
import { readParameters } from "./parameters.ts";

/** A declaration of variables, or of a method. */
export function readDeclaration(cursor: Cursor): Statement {
  const { start } = cursor.peek();
  cursor.index += modifiersLength(cursor, 0);
  if (cursor.is("(")) return readMultiple(cursor, start);
  const type = typeLength(cursor, 0);
  if (type > 0 && isName(cursor, type)) cursor.index += type;
  if (!isName(cursor, 0)) cursor.unexpected("expecting a name");
  const after = cursor.peek(1);
  if (after.type === "operator" && after.text === "(") return readMethod(cursor, start);
  if (cursor.peek().type === "string") cursor.unexpected();
  const expression = readVariable(cursor);
  while (cursor.take(",")) {
    cursor.skipNewlines();
    readVariable(cursor);
  }
  return { kind: "other", blocks: [], ...(expression === undefined ? {} : { expression }), ...cursor.span(start) };
}

function isName(cursor: Cursor, ahead: number): boolean {
  const { type } = cursor.peek(ahead);
  return type === "identifier" || type === "string";
}

/** Its first value, where it has one. */
function readVariable(cursor: Cursor): Expression | undefined {
  cursor.name();
  if (!cursor.take("=")) return undefined;
  cursor.skipNewlines();
  return cursor.rules.command(cursor);
}

/** `def (a, b) = list`. */
function readMultiple(cursor: Cursor, start: number): Statement {
  const close = cursor.peek().match;
  cursor.index = (close ?? cursor.index) + 1;
  if (cursor.take("=")) {
    cursor.skipNewlines();
    cursor.rules.command(cursor);
  }
  return { kind: "other", blocks: [], ...cursor.span(start) };
}

function readMethod(cursor: Cursor, start: number): Statement {
  const { text, value } = cursor.next();
  const name = typeof value === "string" ? value : text;
  cursor.expect("(");
  readParameters(cursor, ")");
  if (cursor.take("throws")) {
    do cursor.index += Math.max(1, typeLength(cursor, 0));
    while (cursor.take(","));
  }
  const body = cursor.afterNewlines().text === "{" ? readMethodBody(cursor) : undefined;
  return { kind: "method", name, body, ...cursor.span(start) };
}

function readMethodBody(cursor: Cursor): Block {
  cursor.skipNewlines();
  cursor.expect("{");
  const body = cursor.nested(() => cursor.rules.statements(cursor));
  cursor.expect("}");
  return body;
}
