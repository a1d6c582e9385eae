import { scanString } from "./strings.ts";
import { GroovySyntaxError, KEYWORDS, OPERATORS, type Token } from "./tokens.ts";

/** Deepest nesting of brackets, and of code in strings. */
export const MAX_DEPTH = 200;

const BLANK = /(?:[ \t\f]|\\(?:\r\n|\r|\n))+/y;
const LINE_END = /(?:\r\n|\r|\n)/y;
const LINE_COMMENT = /\/\/[^\r\n]*/y;
const SHEBANG = /#![^\r\n]*/y;
const NAME = /[\p{L}_$][\p{L}\p{Nd}_$]*/uy;
const DIGITS = "[0-9](?:_*[0-9])*";
const NUMBER = new RegExp(
  `(0[xX][0-9A-Fa-f](?:_*[0-9A-Fa-f])*|0[bB][01](?:_*[01])*)[gGlLiI]?` +
    `|(${DIGITS})(?:(\\.${DIGITS})?((?:[eE][+-]?${DIGITS})?)([gGlLiIfFdD]?))`,
  "y",
);
const CLOSERS: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
const OPERATORS_BY_FIRST = new Map<string, string[]>();
for (const operator of OPERATORS) {
  const first = operator[0] ?? "";
  OPERATORS_BY_FIRST.set(first, [...(OPERATORS_BY_FIRST.get(first) ?? []), operator]);
}

/**
 * The tokens of Groovy source, as Groovy 2.4's lexer (groovy.g) tells them apart; the last is of type "end". Throws
 * GroovySyntaxError.
 */
export function tokenise(source: string): readonly Token[] {
  SHEBANG.lastIndex = 0;
  const from = SHEBANG.test(source) ? SHEBANG.lastIndex : 0;
  return new Lexer(source, from, 0).run().tokens;
}

class Lexer {
  readonly #source: string;
  readonly #depth: number;
  readonly #tokens: Token[] = [];
  /** Indexes of the brackets that are open. */
  readonly #open: number[] = [];
  #at: number;

  constructor(source: string, from: number, depth: number) {
    this.#source = source;
    this.#at = from;
    this.#depth = depth;
  }

  /** Up to the end, or within a string to the brace that closes the code. */
  run(): { readonly tokens: readonly Token[]; readonly end: number } {
    while (this.#at < this.#source.length) {
      if (this.#depth > 0 && this.#open.length === 0 && this.#source[this.#at] === "}") break;
      this.#one();
    }
    const isEnd = this.#at >= this.#source.length;
    if (isEnd && this.#depth > 0)
      throw new GroovySyntaxError("expecting '}', found the end of the file", this.#source.length);
    this.#push({ type: "end", text: "", start: this.#at, end: this.#at });
    return { tokens: this.#tokens, end: this.#at + 1 };
  }

  #one(): void {
    if (this.#skip(BLANK) || this.#skip(LINE_COMMENT) || this.#comment() || this.#newline()) return;
    const start = this.#at;
    const found = this.#string() ?? this.#number() ?? this.#name() ?? this.#operator();
    if (found === undefined)
      throw new GroovySyntaxError(`unexpected char: ${JSON.stringify(this.#source[start])}`, start);
    this.#push(found);
    this.#at = found.end;
    this.#bracket(found);
  }

  #comment(): boolean {
    if (!this.#source.startsWith("/*", this.#at)) return false;
    const close = this.#source.indexOf("*/", this.#at + 2);
    if (close < 0) throw new GroovySyntaxError("expecting */, found the end of the file", this.#at);
    this.#at = close + 2;
    return true;
  }

  /** Line ends count only outside of ( and [; many in a row are one token. */
  #newline(): boolean {
    const start = this.#at;
    if (!this.#skip(LINE_END)) return false;
    const opener = this.#tokens[this.#open.at(-1) ?? -1]?.text;
    const isIgnored = opener === "(" || opener === "[" || this.#tokens.at(-1)?.type === "newline";
    if (!isIgnored) this.#push({ type: "newline", text: "\n", start, end: this.#at });
    return true;
  }

  #string(): Token | undefined {
    const start = this.#at;
    const depth = this.#depth + this.#open.length + 1;
    const scanned = scanString(this.#source, start, {
      allowSlashy: !this.#endsExpression(),
      scanCode: (from) => {
        if (depth > MAX_DEPTH) throw new GroovySyntaxError("nested too deep", from);
        return new Lexer(this.#source, from, depth).run();
      },
    });
    if (scanned === undefined) return undefined;
    const { parts, end } = scanned;
    if (parts.some((part) => part.kind === "code")) return { type: "gstring", text: "", start, end, parts };
    const [only] = parts;
    return { type: "string", text: "", start, end, value: only?.kind === "text" ? only.text : "" };
  }

  /** After what can end an expression a slash divides; keywords count among it, as in Groovy. */
  #endsExpression(): boolean {
    const last = this.#tokens.at(-1);
    if (last === undefined || last.type === "newline") return false;
    return last.type !== "operator" || ["++", "--", ")", "]", "}"].includes(last.text);
  }

  #number(): Token | undefined {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#source);
    if (match === null) return undefined;
    const stop = this.#at + match[0].length;
    if (this.#source[stop] === "_") {
      const found = this.#source[stop + 1] ?? "the end of the file";
      throw new GroovySyntaxError(`expecting token in range: '0'..'9', found '${found}'`, stop);
    }
    const [text, radix, digits = "", fraction, exponent = "", suffix = ""] = match;
    const range = { type: "number", text, start: this.#at, end: this.#at + text.length } as const;
    if (radix !== undefined) return { ...range, value: whole(radix.replaceAll("_", "")) };
    const isDecimal = fraction !== undefined || exponent !== "" || /[fFdD]/.test(suffix);
    const plain = digits.replaceAll("_", "");
    if (isDecimal)
      return { ...range, isDecimal, value: Number(`${plain}${fraction ?? ""}${exponent}`.replaceAll("_", "")) };
    const isOctal = /^0[0-7]+$/.test(plain);
    return { ...range, value: whole(isOctal ? `0o${plain.slice(1)}` : plain) };
  }

  #name(): Token | undefined {
    NAME.lastIndex = this.#at;
    const text = NAME.exec(this.#source)?.[0];
    if (text === undefined) return undefined;
    const type = KEYWORDS.has(text) ? "keyword" : "identifier";
    return { type, text, start: this.#at, end: this.#at + text.length };
  }

  #operator(): Token | undefined {
    const candidates = OPERATORS_BY_FIRST.get(this.#source[this.#at] ?? "");
    const text = candidates?.find((it) => this.#source.startsWith(it, this.#at));
    return text === undefined ? undefined : { type: "operator", text, start: this.#at, end: this.#at + text.length };
  }

  #bracket({ type, text, start }: Token): void {
    if (type !== "operator") return;
    if (text in CLOSERS) {
      this.#open.push(this.#tokens.length - 1);
      if (this.#depth + this.#open.length > MAX_DEPTH) throw new GroovySyntaxError("nested too deep", start);
      return;
    }
    if (text !== ")" && text !== "]" && text !== "}") return;
    const opener = this.#tokens[this.#open.pop() ?? -1];
    if (opener === undefined) throw new GroovySyntaxError(`unexpected token: ${text}`, start);
    const wanted = CLOSERS[opener.text];
    if (wanted !== text) throw new GroovySyntaxError(`expecting '${wanted}', found '${text}'`, start);
    opener.match = this.#tokens.length - 1;
  }

  #push(token: Token): void {
    if (token.type === "end") {
      const opener = this.#tokens[this.#open.at(-1) ?? -1];
      if (opener !== undefined) {
        const message = `expecting '${CLOSERS[opener.text]}', found the end of the file; this bracket is not closed`;
        throw new GroovySyntaxError(message, opener.start);
      }
    }
    this.#tokens.push(token);
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#source)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }
}

function whole(text: string): number | bigint {
  const value = BigInt(text);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
