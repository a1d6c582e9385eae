import { MAX_DEPTH } from "./lexer.ts";
import type { Block, Expression, Span } from "./nodes.ts";
import { GroovySyntaxError, type Token } from "./tokens.ts";

/** The rules of the grammar that call each other across files. */
export interface Rules {
  expression(cursor: Cursor): Expression;
  /** An expression that may go on as a command, `a b, c`: what stands alone, and what is assigned. */
  command(cursor: Cursor): Expression;
  /** Without its braces, up to what closes it. */
  statements(cursor: Cursor): Block;
}

/** A place in a list of tokens. */
export class Cursor {
  readonly rules: Rules;
  readonly tokens: readonly Token[];
  index = 0;
  /** The last expression that ended as a path: only such a one takes arguments without parentheses. */
  lastPath: Expression | undefined;
  #depth: number;

  constructor(tokens: readonly Token[], rules: Rules, depth = 0) {
    this.tokens = tokens;
    this.rules = rules;
    this.#depth = depth;
  }

  /** The token `ahead` of the next; past the end, the end. */
  peek(ahead = 0): Token {
    const token = this.tokens[this.index + ahead] ?? this.tokens.at(-1);
    if (token === undefined) throw new GroovySyntaxError("no tokens", 0);
    return token;
  }

  next(): Token {
    const token = this.peek();
    if (token.type !== "end") this.index++;
    return token;
  }

  /** Whether the next token is one of these operators or keywords. */
  is(...texts: readonly string[]): boolean {
    const { type, text } = this.peek();
    return (type === "operator" || type === "keyword") && texts.includes(text);
  }

  /** Takes the next token when it is this operator or keyword. */
  take(text: string): boolean {
    if (!this.is(text)) return false;
    this.index++;
    return true;
  }

  expect(text: string): Token {
    if (!this.is(text)) this.unexpected(`expecting '${text}'`);
    return this.next();
  }

  /** A name, or where `keywords` a keyword as well. */
  name(keywords = false): Token {
    const { type } = this.peek();
    if (type !== "identifier" && !(keywords && type === "keyword")) this.unexpected("expecting a name");
    return this.next();
  }

  skipNewlines(): void {
    while (this.peek().type === "newline") this.index++;
  }

  /** The next token that is no newline, without taking any. */
  afterNewlines(): Token {
    return this.peek(this.peek().type === "newline" ? 1 : 0);
  }

  /** The span of a node that began at `start` and has just been read. */
  span(start: number): Span {
    return { start, end: this.peek().start };
  }

  /** Reads something that may hold itself. */
  nested<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH * 2) throw new GroovySyntaxError("nested too deep", this.peek().start);
    const result = read();
    this.#depth--;
    return result;
  }

  /** A cursor over the code in a string. */
  inside(tokens: readonly Token[]): Cursor {
    return new Cursor(tokens, this.rules, this.#depth + 1);
  }

  unexpected(expected?: string): never {
    const { type, text, start } = this.peek();
    const shown = {
      newline: "the end of the line",
      end: "the end of the file",
      string: "a string",
      gstring: "a string",
    };
    const found = type in shown ? shown[type as keyof typeof shown] : `'${text}'`;
    throw new GroovySyntaxError(
      expected === undefined ? `unexpected token: ${found}` : `${expected}, found ${found}`,
      start,
    );
  }
}
