import type { Cursor } from "./cursor.ts";
import { readDeclaration } from "./declarations.ts";
import { hasClosureParameters, modifiersLength, startsDeclaration, typeLength } from "./lookahead.ts";
import type { Block, Expression, Statement } from "./nodes.ts";
import { GroovySyntaxError } from "./tokens.ts";

const TYPE_WORDS = ["class", "interface", "enum"] as const;

/** Statements up to a closing brace or the end, which are left. */
export function readStatements(cursor: Cursor): Block {
  const statements: Statement[] = [];
  const { start } = cursor.peek();
  for (;;) {
    skipSeparators(cursor);
    if (cursor.peek().type === "end" || cursor.is("}") || isCaseLabel(cursor)) break;
    statements.push(cursor.nested(() => readStatement(cursor)));
    const { type, text } = cursor.peek();
    const isOver = type === "newline" || type === "end" || (type === "operator" && (text === ";" || text === "}"));
    if (!isOver && !isCaseLabel(cursor)) cursor.unexpected();
  }
  return { statements, start: statements[0]?.start ?? start, end: statements.at(-1)?.end ?? start };
}

function isCaseLabel(cursor: Cursor): boolean {
  return cursor.is("case", "default") && !(cursor.peek(1).text === ":" && cursor.is("case"));
}

function skipSeparators(cursor: Cursor): void {
  while (cursor.peek().type === "newline" || cursor.is(";")) cursor.next();
}

const READERS: Readonly<Record<string, (cursor: Cursor) => readonly Block[]>> = {
  if: readIf,
  while: readWhile,
  for: readFor,
  switch: readSwitch,
  try: readTry,
  synchronized: readWhile,
  import: skipImport,
  package: skipImport,
  class: skipType,
  interface: skipType,
  enum: skipType,
};

function readStatement(cursor: Cursor): Statement {
  const { type, text, start } = cursor.peek();
  if (isTypeDefinition(cursor)) return other(cursor, start, skipType(cursor));
  if (cursor.peek(modifiersLength(cursor, 0)).text === "import" && type === "operator") {
    cursor.index += modifiersLength(cursor, 0);
    return other(cursor, start, skipImport(cursor));
  }
  const reader = type === "keyword" && Object.hasOwn(READERS, text) ? READERS[text] : undefined;
  const isGuarded = text === "synchronized" && cursor.peek(1).text !== "(";
  if (reader !== undefined && !isGuarded) return other(cursor, start, reader(cursor));
  if (type === "keyword" && Object.hasOwn(JUMPS, text)) return readJump(cursor, start);
  if (startsDeclaration(cursor)) return readDeclaration(cursor);
  if (type === "identifier" && cursor.peek(1).text === ":" && cursor.peek(1).type === "operator")
    return readLabelled(cursor);
  if (cursor.is("{") && !hasClosureParameters(cursor, 1))
    throw new GroovySyntaxError(
      "Ambiguous expression could be either a parameterless closure expression or an isolated open code block",
      start,
    );
  const expression = cursor.rules.command(cursor);
  return { kind: "expression", expression: { ...expression, ...cursor.span(start) }, ...cursor.span(start) };
}

function other(cursor: Cursor, start: number, blocks: readonly Block[], expression?: Expression): Statement {
  return { kind: "other", blocks, ...(expression === undefined ? {} : { expression }), ...cursor.span(start) };
}

function isTypeDefinition(cursor: Cursor): boolean {
  const at = modifiersLength(cursor, 0);
  const { type, text } = cursor.peek(at);
  const isTrait = text === "trait" && cursor.peek(at + 1).type === "identifier" && cursor.peek(at + 2).text === "{";
  const isAnnotation = type === "operator" && text === "@" && cursor.peek(at + 1).text === "interface";
  return (type === "keyword" && TYPE_WORDS.some((word) => word === text)) || isTrait || isAnnotation;
}

/** A class is none of the pipeline's business: its braces are known to match, and that is all. */
function skipType(cursor: Cursor): readonly Block[] {
  while (!cursor.is("{")) {
    if (cursor.peek().type === "end") cursor.unexpected("expecting '{'");
    cursor.next();
  }
  cursor.index = (cursor.peek().match ?? cursor.index) + 1;
  return [];
}

function skipImport(cursor: Cursor): readonly Block[] {
  cursor.next();
  cursor.take("static");
  cursor.name();
  while (cursor.take(".")) {
    if (!cursor.take("*")) cursor.name(true);
  }
  if (cursor.take("as")) cursor.name();
  return [];
}

/** What follows a condition: a block, or one statement. */
function readBody(cursor: Cursor): Block {
  cursor.skipNewlines();
  if (cursor.is("{")) return readBraces(cursor);
  const { start } = cursor.peek();
  const statement = cursor.nested(() => readStatement(cursor));
  return { statements: [statement], ...cursor.span(start) };
}

/** A block in braces. */
export function readBraces(cursor: Cursor): Block {
  return cursor.nested(() => {
    const { start } = cursor.expect("{");
    const body = readStatements(cursor);
    cursor.expect("}");
    return body.statements.length === 0 ? { ...body, ...cursor.span(start) } : body;
  });
}

function readCondition(cursor: Cursor): void {
  cursor.next();
  cursor.expect("(");
  cursor.rules.expression(cursor);
  cursor.expect(")");
}

function readIf(cursor: Cursor): readonly Block[] {
  readCondition(cursor);
  const blocks = [readBody(cursor)];
  const before = cursor.index;
  skipSeparators(cursor);
  if (cursor.take("else")) blocks.push(readBody(cursor));
  else cursor.index = before;
  return blocks;
}

function readWhile(cursor: Cursor): readonly Block[] {
  readCondition(cursor);
  return cursor.is(";") ? [] : [readBody(cursor)];
}

function readFor(cursor: Cursor): readonly Block[] {
  cursor.next();
  const close = cursor.peek().match;
  cursor.expect("(");
  const typed = modifiersLength(cursor, 0);
  const type = typeLength(cursor, typed);
  const isTyped = type > 0 && cursor.peek(typed + type).type === "identifier";
  const name = typed + (isTyped ? type : 0);
  const isIn = cursor.peek(name).type === "identifier" && ["in", ":"].includes(cursor.peek(name + 1).text);
  if (isIn) {
    cursor.index += name + 2;
    cursor.rules.expression(cursor);
  } else readForClauses(cursor);
  if (cursor.index !== close) cursor.unexpected("expecting ')'");
  cursor.expect(")");
  return cursor.is(";") ? [] : [readBody(cursor)];
}

function readForClauses(cursor: Cursor): void {
  for (const isLast of [false, false, true]) {
    while (!cursor.is(";", ")")) {
      if (startsDeclaration(cursor)) readDeclaration(cursor);
      else cursor.rules.expression(cursor);
      if (!cursor.take(",")) break;
    }
    if (!isLast) cursor.expect(";");
  }
}

function readSwitch(cursor: Cursor): readonly Block[] {
  readCondition(cursor);
  cursor.skipNewlines();
  cursor.expect("{");
  const blocks: Block[] = [];
  for (;;) {
    skipSeparators(cursor);
    if (cursor.take("}")) return blocks;
    if (cursor.take("case")) cursor.rules.expression(cursor);
    else if (!cursor.take("default")) cursor.unexpected("expecting 'case' or 'default'");
    cursor.expect(":");
    blocks.push(readStatements(cursor));
  }
}

function readTry(cursor: Cursor): readonly Block[] {
  cursor.next();
  cursor.skipNewlines();
  const blocks = [readBraces(cursor)];
  for (;;) {
    const { type, text } = cursor.afterNewlines();
    if (type !== "keyword" || (text !== "catch" && text !== "finally")) return blocks;
    cursor.skipNewlines();
    cursor.next();
    if (text === "catch") readCaught(cursor);
    cursor.skipNewlines();
    blocks.push(readBraces(cursor));
  }
}

/** `(e)`, `(Type e)`, `(Type | Type e)`. */
function readCaught(cursor: Cursor): void {
  cursor.expect("(");
  cursor.index += modifiersLength(cursor, 0);
  while (!cursor.is(")")) {
    const length = typeLength(cursor, 0);
    if (length === 0) cursor.unexpected("expecting a type or name");
    cursor.index += length;
    cursor.take("|");
  }
  cursor.expect(")");
}

/** Whether a jump must have a value, may have one, or names a label. */
const JUMPS = { return: "optional", throw: "value", assert: "value", break: "label", continue: "label" } as const;

function readJump(cursor: Cursor, start: number): Statement {
  const word = cursor.next().text as keyof typeof JUMPS;
  const kind = JUMPS[word];
  if (kind === "label") {
    if (cursor.peek().type === "identifier") cursor.next();
    return other(cursor, start, []);
  }
  const { type, text } = cursor.peek();
  const isBare = type === "newline" || type === "end" || (type === "operator" && (text === ";" || text === "}"));
  if (isBare && kind === "optional") return other(cursor, start, []);
  const value = cursor.rules.expression(cursor);
  if (word === "assert" && (cursor.take(":") || cursor.take(","))) {
    cursor.skipNewlines();
    cursor.rules.expression(cursor);
  }
  return other(cursor, start, [], word === "return" ? value : undefined);
}

function readLabelled(cursor: Cursor): Statement {
  const { start } = cursor.next();
  cursor.next();
  cursor.skipNewlines();
  if (cursor.is("{")) return other(cursor, start, [readBraces(cursor)]);
  return cursor.nested(() => readStatement(cursor));
}
