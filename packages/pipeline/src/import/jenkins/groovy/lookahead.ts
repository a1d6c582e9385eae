import type { Cursor } from "./cursor.ts";
import { BUILT_IN_TYPES, type Token } from "./tokens.ts";

const MODIFIERS: ReadonlySet<string> = new Set(
  "def final static abstract public private protected transient native volatile strictfp threadsafe".split(" "),
);

const isOperator = (token: Token, text: string): boolean => token.type === "operator" && token.text === text;
const isBuiltIn = ({ type, text }: Token): boolean => type === "keyword" && BUILT_IN_TYPES.has(text);

/** How many tokens from `ahead` on are a type, e.g. `Map<String, List<int[]>>[]`; 0: it is none. */
export function typeLength(cursor: Cursor, ahead: number): number {
  let at = ahead;
  if (isBuiltIn(cursor.peek(at))) at++;
  else {
    if (cursor.peek(at).type !== "identifier") return 0;
    at++;
    while (isOperator(cursor.peek(at), ".") && cursor.peek(at + 1).type === "identifier") at += 2;
    if (isOperator(cursor.peek(at), "<")) {
      const generics = genericsLength(cursor, at);
      if (generics === 0) return 0;
      at += generics;
    }
  }
  while (isOperator(cursor.peek(at), "[") && isOperator(cursor.peek(at + 1), "]")) at += 2;
  return at - ahead;
}

/** From `<` to the `>` that closes it: names, dots, commas, `?`, `extends`, `super`, `[]`. */
function genericsLength(cursor: Cursor, ahead: number): number {
  let depth = 0;
  for (let at = ahead; ; at++) {
    const token = cursor.peek(at);
    if (isOperator(token, "<")) depth++;
    else if (token.type === "operator" && /^>+$/.test(token.text)) depth -= token.text.length;
    else if (!isInGenerics(token)) return 0;
    if (depth <= 0) return depth === 0 ? at - ahead + 1 : 0;
  }
}

function isInGenerics(token: Token): boolean {
  if (token.type === "operator") return [".", ",", "?", "&", "[", "]"].includes(token.text);
  return token.type === "identifier" || isBuiltIn(token) || token.text === "extends" || token.text === "super";
}

/** How many tokens from `ahead` on are modifiers and annotations, with the newlines after them. */
export function modifiersLength(cursor: Cursor, ahead: number): number {
  let at = ahead;
  for (;;) {
    const token = cursor.peek(at);
    const isModifier = token.type === "keyword" && MODIFIERS.has(token.text);
    const isGuard = token.text === "synchronized" && !isOperator(cursor.peek(at + 1), "(");
    if (isModifier || (token.type === "keyword" && isGuard)) at++;
    else if (isOperator(token, "@") && cursor.peek(at + 1).type === "identifier") at += annotationLength(cursor, at);
    else return at - ahead;
    while (cursor.peek(at).type === "newline") at++;
  }
}

function annotationLength(cursor: Cursor, ahead: number): number {
  let at = ahead + 2;
  while (isOperator(cursor.peek(at), ".") && cursor.peek(at + 1).type === "identifier") at += 2;
  const { match } = cursor.peek(at);
  if (isOperator(cursor.peek(at), "(") && match !== undefined) at = match - cursor.index + 1;
  return at - ahead;
}

/** Whether a type from `ahead` on can begin a declaration: built in, or its last name begins with a capital. */
function isDeclaringType(cursor: Cursor, ahead: number, length: number): boolean {
  if (isBuiltIn(cursor.peek(ahead))) return true;
  let name = cursor.peek(ahead).text;
  for (let at = ahead + 1; at < ahead + length && isOperator(cursor.peek(at), "."); at += 2)
    name = cursor.peek(at + 1).text;
  return /^\p{Lu}/u.test(name);
}

/** Whether a declaration of variables or of a method begins here: modifiers, or a type and a name. */
export function startsDeclaration(cursor: Cursor): boolean {
  if (modifiersLength(cursor, 0) > 0) return true;
  const length = typeLength(cursor, 0);
  if (length === 0 || !isDeclaringType(cursor, 0, length)) return false;
  const { type } = cursor.peek(length);
  return type === "identifier" || type === "string";
}

/** Whether an arrow comes after what may be the parameters of a closure, whose brace is before `from`. */
export function hasClosureParameters(cursor: Cursor, from = 0): boolean {
  let at = from;
  for (;;) {
    const token = cursor.peek(at);
    if (isOperator(token, "->")) return true;
    const { match } = token;
    if (token.type === "operator" && match !== undefined) at = match - cursor.index + 1;
    else if (!isInParameters(token)) return false;
    else at++;
  }
}

/** What may stand before the arrow: anything but what separates or begins statements, and strings outside of defaults. */
function isInParameters({ type, text }: Token): boolean {
  if (type === "end") return false;
  if (type === "operator") return text !== ";" && text !== "}";
  return type !== "keyword" || !STATEMENTS.has(text);
}

const STATEMENTS: ReadonlySet<string> = new Set(
  "assert break case catch class continue else enum finally for if import interface package return switch throw try while".split(
    " ",
  ),
);
