/** What a token is. A newline stands for all line ends in a row; within ( and [ there are none. */
export type TokenType = "identifier" | "keyword" | "number" | "string" | "gstring" | "operator" | "newline" | "end";

/** A piece of a string with code in it. */
export type StringPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly tokens: readonly Token[] };

/** A token of Groovy source. */
export interface Token {
  readonly type: TokenType;
  /** As written; of strings empty. */
  readonly text: string;
  /** Offsets in the source. */
  readonly start: number;
  readonly end: number;
  /** Of strings and numbers. */
  readonly value?: string | number | bigint;
  /** Of a number with a fraction. */
  readonly isDecimal?: boolean;
  /** Of a string with code in it. */
  readonly parts?: readonly StringPart[];
  /** Index of the bracket that closes this one, in the same list. */
  match?: number;
}

/** Source that Groovy would not read. Thrown inside this folder only. */
export class GroovySyntaxError extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** Words that are no names. */
export const KEYWORDS: ReadonlySet<string> = new Set(
  (
    "abstract as assert boolean break byte case catch char class const continue def default do double else enum " +
    "extends false final finally float for goto if implements import in instanceof int interface long native new " +
    "null package private protected public return short static strictfp super switch synchronized this threadsafe " +
    "throw throws transient true try void volatile while"
  ).split(" "),
);

/** Types that are keywords. */
export const BUILT_IN_TYPES: ReadonlySet<string> = new Set(
  "void boolean byte char short int float long double".split(" "),
);

/** Longest first. */
export const OPERATORS: readonly string[] = (
  ">>>= <=> === !== ==~ >>> >>= <<= **= ..< ... *. ?. .& .@ ++ -- -> ?: == != <= >= && || << >> =~ ** .. += -= *= " +
  "/= %= &= |= ^= + - * / % = < > ! ~ ? : ; , . @ & | ^ ( ) [ ] { }"
).split(" ");
