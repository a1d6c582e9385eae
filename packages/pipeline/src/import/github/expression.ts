/** An expression of a workflow. Grammar: docs.github.com, "Evaluate expressions in workflows and actions". */
export type Expression =
  | { readonly kind: "literal"; readonly value: string | number | boolean | null }
  | { readonly kind: "context"; readonly name: string }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression };

const TOKEN =
  /\s*(?:('(?:[^']|'')*')|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w-]*(?:\s*\.\s*(?:[A-Za-z_*][\w-]*)|\s*\[\s*'[^']*'\s*\])*)|(==|!=|<=|>=|&&|\|\||[!<>(),]))/y;
const PRECEDENCE: readonly (readonly string[])[] = [["||"], ["&&"], ["==", "!="], ["<", "<=", ">", ">="]];
const MAX_LENGTH = 4096;
const MAX_DEPTH = 64;

interface Token {
  readonly kind: "text" | "number" | "name" | "mark";
  readonly text: string;
}

/** Reads one expression, without `${{` and `}}`. Undefined when it is none, or too long. */
export function parseExpression(source: string): Expression | undefined {
  const tokens = tokensOf(source);
  if (tokens === undefined) return undefined;
  const parser = new Parser(tokens);
  const expression = parser.binary(0, 0);
  return parser.isDone ? expression : undefined;
}

function tokensOf(source: string): Token[] | undefined {
  if (source.length > MAX_LENGTH) return undefined;
  const tokens: Token[] = [];
  const end = source.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const match = TOKEN.exec(source);
    if (match === null) return undefined;
    const [, text, number, name, mark] = match;
    if (text !== undefined) tokens.push({ kind: "text", text: text.slice(1, -1).replaceAll("''", "'") });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (name !== undefined) tokens.push({ kind: "name", text: plainName(name) });
    else tokens.push({ kind: "mark", text: mark ?? "" });
  }
  return tokens;
}

/** `a . b['c']` is a.b.c. */
function plainName(name: string): string {
  return name.replaceAll(/\s/g, "").replaceAll(/\['([^']*)'\]/g, ".$1");
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #failed = false;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get isDone(): boolean {
    return !this.#failed && this.#at === this.#tokens.length;
  }

  binary(level: number, depth: number): Expression {
    const operators = PRECEDENCE[level];
    if (operators === undefined) return this.#unary(depth);
    let left = this.binary(level + 1, depth);
    for (let next = this.#peek(); next?.kind === "mark" && operators.includes(next.text); next = this.#peek()) {
      this.#at += 1;
      left = { kind: "binary", operator: next.text, left, right: this.binary(level + 1, depth) };
    }
    return left;
  }

  #unary(depth: number): Expression {
    if (depth > MAX_DEPTH) return this.#fail();
    if (this.#takes("!")) return { kind: "not", of: this.#unary(depth + 1) };
    if (this.#takes("(")) {
      const inner = this.binary(0, depth + 1);
      return this.#takes(")") ? inner : this.#fail();
    }
    return this.#primary(depth);
  }

  #primary(depth: number): Expression {
    const token = this.#tokens[this.#at++];
    if (token?.kind === "text") return { kind: "literal", value: token.text };
    if (token?.kind === "number") return { kind: "literal", value: Number(token.text) };
    if (token?.kind !== "name") return this.#fail();
    if (token.text === "true" || token.text === "false") return { kind: "literal", value: token.text === "true" };
    if (token.text === "null") return { kind: "literal", value: null };
    if (!this.#takes("(")) return { kind: "context", name: token.text };
    const args: Expression[] = [];
    while (!this.#takes(")")) {
      args.push(this.binary(0, depth + 1));
      if (!this.#takes(",") && this.#peek()?.text !== ")") return this.#fail();
    }
    return { kind: "call", name: token.text.toLowerCase(), args };
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #takes(mark: string): boolean {
    const token = this.#peek();
    if (token?.kind !== "mark" || token.text !== mark) return false;
    this.#at += 1;
    return true;
  }

  #fail(): Expression {
    this.#failed = true;
    this.#at = this.#tokens.length;
    return { kind: "literal", value: null };
  }
}
