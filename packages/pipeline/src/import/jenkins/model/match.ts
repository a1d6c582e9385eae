import type { Block, Call, Closure, Expression, Span, Statement } from "../groovy/nodes.ts";
import type { Problems } from "./problems.ts";

/** What reading the model needs everywhere. */
export interface Reading {
  readonly source: string;
  readonly problems: Problems;
}

/** A call whose last argument is a closure. */
export interface BlockCall {
  readonly name: string;
  /** Without the closure. */
  readonly args: readonly Expression[];
  readonly body: Block;
  readonly closure: Closure;
}

/** The call that a statement is; a bare name is none. */
export function callOf(statement: Statement): Call | undefined {
  return statement.kind === "expression" && statement.expression.kind === "call" ? statement.expression : undefined;
}

/** The name of a call on the script itself; undefined for any other. */
export function matchName({ target, method }: Call): string | undefined {
  if (target !== undefined && !(target.kind === "variable" && target.name === "this")) return undefined;
  return method.kind === "constant" && typeof method.value === "string" ? method.value : undefined;
}

/** The name of a call, reported when it has none that can stand in a section. */
export function readName(call: Call, { problems }: Reading): string {
  const name = matchName(call);
  if (name !== undefined) return name;
  const isOnObject = call.target?.kind === "variable";
  problems.add(
    isOnObject ? 'Method calls on objects not allowed outside "script" blocks.' : "Expected a symbol",
    call.start,
  );
  return "error";
}

/** The block that a statement is: `name(args) { ... }`. */
export function blockOf(statement: Statement): BlockCall | undefined {
  const call = callOf(statement);
  const closure = call?.args.at(-1);
  if (call === undefined || closure?.kind !== "closure") return undefined;
  const { value } = call.method.kind === "constant" ? call.method : { value: undefined };
  return { name: typeof value === "string" ? value : "", args: call.args.slice(0, -1), body: closure.body, closure };
}

/** The block of a section; reported when it is none. */
export function sectionBlock(statement: Statement, name: string, { problems }: Reading): Block | undefined {
  const block = blockOf(statement);
  if (block === undefined) problems.add(`Expected a block for ${name}`, statement.start);
  return block?.body;
}

/** An entry of a section: a call on the script itself, which names it. */
export interface NamedEntry {
  readonly name: string;
  readonly call: Call;
  readonly statement: Statement;
}

/** The entries of a section, one after the other; what is no call, and what comes twice, is reported on the way. */
export function* namedEntries(
  statements: readonly Statement[],
  reading: Reading,
  kind = "section",
): Iterable<NamedEntry> {
  const { problems } = reading;
  const seen = new Set<string>();
  for (const statement of statements) {
    const call = callOf(statement);
    if (call === undefined) {
      const text = `Not a valid ${kind} definition: "${sourceText(statement, reading)}". Some extra configuration is required.`;
      problems.add(text, statement.start);
      continue;
    }
    const name = readName(call, reading);
    if (seen.has(name)) problems.add(`Multiple occurrences of the ${name} section`, statement.start);
    seen.add(name);
    yield { name, call, statement };
  }
}

/** Text that a string or a bare name stands for. */
export function matchText(expression: Expression): string | undefined {
  if (expression.kind === "variable") return expression.name;
  return expression.kind === "constant" && typeof expression.value === "string" ? expression.value : undefined;
}

/** As matchText, reported when it is neither. */
export function readText(expression: Expression, { problems }: Reading): string {
  const text = matchText(expression);
  if (text === undefined) problems.add("Expected string literal", expression.start);
  return text ?? "error";
}

/** A node's source text. Of a sum Jenkins shows the parts with nothing between. */
export function sourceText(node: Expression | Statement | Span, { source }: Reading): string {
  if ("kind" in node && node.kind === "binary" && node.operator !== "[") return joinedText(node, source);
  return source.slice(node.start, node.end).trim();
}

function joinedText(node: Expression, source: string): string {
  const texts: string[] = [];
  let at = node;
  while (at.kind === "binary" && at.operator !== "[") {
    texts.push(at.operator + (at.right.kind === "binary" ? joinedText(at.right, source) : textOf(at.right, source)));
    at = at.left;
  }
  return textOf(at, source) + texts.reverse().join("");
}

const textOf = ({ start, end }: Span, source: string): string => source.slice(start, end).trim();

/** The text of a block's statements, as Jenkins cuts it: to the end of the first one, unless others end on later lines. */
export function blockText({ statements, start, end }: Block, { source }: Reading): string {
  const [first] = statements;
  if (first === undefined) return source.slice(start, end).trim();
  let last = first.end;
  let seen = first.end;
  for (const { end: stop } of statements) {
    if (/[\r\n]/.test(source.slice(seen, stop))) last = stop;
    seen = Math.max(seen, stop);
  }
  return source.slice(first.start, last).trim();
}
