import { GroovySyntaxError, KEYWORDS, type StringPart, type Token } from "./tokens.ts";

/** How a kind of string is written. */
interface Form {
  readonly open: string;
  readonly close: string;
  readonly hasCode: boolean;
  readonly isMultiLine: boolean;
  /** Slashy strings know no escapes but that of their own delimiter. */
  readonly escapes: "backslash" | "slash" | "dollar";
}

const FORMS: readonly Form[] = [
  { open: "'''", close: "'''", hasCode: false, isMultiLine: true, escapes: "backslash" },
  { open: '"""', close: '"""', hasCode: true, isMultiLine: true, escapes: "backslash" },
  { open: "'", close: "'", hasCode: false, isMultiLine: false, escapes: "backslash" },
  { open: '"', close: '"', hasCode: true, isMultiLine: false, escapes: "backslash" },
  { open: "$/", close: "/$", hasCode: true, isMultiLine: true, escapes: "dollar" },
  { open: "/", close: "/", hasCode: true, isMultiLine: true, escapes: "slash" },
];

const SIMPLE: Readonly<Record<string, string>> = {
  ...{ n: "\n", r: "\r", t: "\t", b: "\b", f: "\f" },
  ...{ "'": "'", '"': '"', "\\": "\\", $: "$" },
};
const OCTAL = /[0-3]?[0-7]{1,2}/y;
const UNICODE = /u+([0-9A-Fa-f]{4})/y;
const LINE_END = /\r\n|\r|\n/y;
const NAME = /[\p{L}_][\p{L}\p{Nd}_]*/uy;
/** What goes by without a look: nothing of it can end a string or begin something in it. */
const PLAIN = /[^\\$'"/\r\n]+/y;

/** A string that was read: its value when it holds no code, and where it ends. */
export interface ScannedString {
  readonly parts: readonly StringPart[];
  readonly end: number;
}

/** Reads the code between `${` and `}`: its tokens, and the offset after the `}`. */
export type ScanCode = (from: number) => { readonly tokens: readonly Token[]; readonly end: number };

/**
 * Reads the string that begins at `from`; undefined when none does there. Slashy strings are tried only where
 * `allowSlashy`: elsewhere a slash divides. Throws GroovySyntaxError.
 */
export function scanString(
  source: string,
  from: number,
  { allowSlashy, scanCode }: { readonly allowSlashy: boolean; readonly scanCode: ScanCode },
): ScannedString | undefined {
  const form = FORMS.find((it) => source.startsWith(it.open, from) && (it.escapes === "backslash" || allowSlashy));
  return form === undefined ? undefined : new StringReader(source, from, { form, scanCode }).read();
}

class StringReader {
  readonly #source: string;
  readonly #start: number;
  readonly #form: Form;
  readonly #scanCode: ScanCode;
  readonly #parts: StringPart[] = [];
  #text: string[] = [];
  #at: number;

  constructor(source: string, start: number, { form, scanCode }: { form: Form; scanCode: ScanCode }) {
    this.#source = source;
    this.#start = start;
    this.#form = form;
    this.#scanCode = scanCode;
    this.#at = start + form.open.length;
  }

  read(): ScannedString {
    const { close } = this.#form;
    while (this.#at < this.#source.length) {
      if (this.#isClose()) {
        this.#flush();
        return { parts: this.#parts, end: this.#at + close.length };
      }
      this.#one();
    }
    throw new GroovySyntaxError(`expecting ${close}, found the end of the file`, this.#start);
  }

  /** Whether the string ends here. In `"""a""""` the first three quotes end it, as in Groovy. */
  #isClose(): boolean {
    return this.#source.startsWith(this.#form.close, this.#at);
  }

  #one(): void {
    const char = this.#source[this.#at] ?? "";
    const plain = this.#match(PLAIN);
    if (plain !== undefined) this.#text.push(plain);
    else if (char === "\n" || char === "\r") this.#lineEnd();
    else if (char === "\\") this.#backslash();
    else if (char === "$" && this.#form.hasCode) this.#dollar();
    else {
      this.#text.push(char);
      this.#at++;
    }
  }

  #lineEnd(): void {
    if (!this.#form.isMultiLine)
      throw new GroovySyntaxError(`expecting ${this.#form.close}, found the end of the line`, this.#at);
    this.#match(LINE_END);
    this.#text.push("\n");
  }

  #backslash(): void {
    const { escapes } = this.#form;
    if (escapes !== "backslash") this.#slashyBackslash(escapes);
    else this.#escape();
  }

  #escape(): void {
    const at = this.#at++;
    const simple = SIMPLE[this.#source[this.#at] ?? ""];
    if (simple !== undefined) {
      this.#text.push(simple);
      this.#at++;
      return;
    }
    if (this.#match(LINE_END) !== undefined) return;
    const octal = this.#match(OCTAL);
    const code = octal === undefined ? this.#unicode() : Number.parseInt(octal, 8);
    if (code === undefined) throw new GroovySyntaxError("unexpected char: '\\' (no such escape)", at);
    this.#text.push(String.fromCharCode(code));
  }

  #slashyBackslash(escapes: "slash" | "dollar"): void {
    this.#at++;
    const code = this.#unicode();
    if (code !== undefined) this.#text.push(String.fromCharCode(code));
    else if (escapes === "slash" && this.#source[this.#at] === "/") {
      this.#text.push("/");
      this.#at++;
    } else if (this.#match(LINE_END) === undefined) this.#text.push("\\");
  }

  #unicode(): number | undefined {
    UNICODE.lastIndex = this.#at;
    const digits = UNICODE.exec(this.#source)?.[1];
    if (digits === undefined) return undefined;
    this.#at = UNICODE.lastIndex;
    return Number.parseInt(digits, 16);
  }

  #dollar(): void {
    const next = this.#source[this.#at + 1] ?? "";
    const { escapes } = this.#form;
    if (escapes === "dollar" && (next === "$" || next === "/")) {
      this.#text.push(next);
      this.#at += 2;
    } else if (next === "{") this.#code(this.#scanCode(this.#at + 2));
    else if (/[\p{L}_]/u.test(next)) this.#code(this.#path());
    else if (escapes === "backslash") {
      const message = "illegal string body character after dollar sign; write \\$ for a literal dollar sign";
      throw new GroovySyntaxError(message, this.#at + 1);
    } else {
      this.#text.push("$");
      this.#at++;
    }
  }

  /** `$a.b.c`: names with dots between, as far as they go. */
  #path(): { readonly tokens: readonly Token[]; readonly end: number } {
    const tokens: Token[] = [];
    let end = this.#at + 1;
    for (;;) {
      NAME.lastIndex = end;
      const text = NAME.exec(this.#source)?.[0] ?? "";
      if (tokens.length === 0 && KEYWORDS.has(text) && text !== "this" && text !== "super")
        throw new GroovySyntaxError(`unexpected token: ${text}`, end);
      tokens.push({ type: "identifier", text, start: end, end: end + text.length });
      end += text.length;
      if (this.#source[end] !== "." || !/[\p{L}_]/u.test(this.#source[end + 1] ?? "")) break;
      tokens.push({ type: "operator", text: ".", start: end, end: end + 1 });
      end++;
    }
    tokens.push({ type: "end", text: "", start: end, end });
    return { tokens, end };
  }

  #code({ tokens, end }: { readonly tokens: readonly Token[]; readonly end: number }): void {
    this.#flush();
    this.#parts.push({ kind: "code", tokens });
    this.#at = end;
  }

  #flush(): void {
    if (this.#text.length > 0) this.#parts.push({ kind: "text", text: this.#text.join("") });
    this.#text = [];
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
