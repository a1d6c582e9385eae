/** Where a node stands: from its first character to the start of the token after it, as in Groovy's own tree. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A statement list. Its span is that of the statements, or of the braces when there are none. */
export interface Block extends Span {
  readonly statements: readonly Statement[];
}

/** `key: value`, in a map or among arguments. */
export interface Entry extends Span {
  readonly key: Expression;
  readonly value: Expression;
}

/** A call; without a target it is one on the script itself. Arguments with names come first, as one map. */
export interface Call extends Span {
  readonly kind: "call";
  readonly target?: Expression;
  readonly method: Expression;
  readonly args: readonly Expression[];
}

/** A closure, e.g. the block of a section. */
export interface Closure extends Span {
  readonly kind: "closure";
  readonly body: Block;
}

/** A string with code in it. */
export interface GString extends Span {
  readonly kind: "gstring";
  readonly parts: readonly GStringPart[];
}

/** Text, or the expression whose value stands there; undefined: code that is no single expression. */
export type GStringPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly expression: Expression | undefined };

/** A map, or the arguments with names of a call. */
export interface MapNode extends Span {
  readonly kind: "map";
  readonly entries: readonly Entry[];
}

/** A literal. */
export interface Constant extends Span {
  readonly kind: "constant";
  readonly value: string | number | bigint | boolean | null;
  /** A number with a fraction. */
  readonly isDecimal?: boolean;
}

/** A name. */
export interface Variable extends Span {
  readonly kind: "variable";
  readonly name: string;
}

/** What the declarative model and the importer look at; all else is "other". */
export type Expression =
  | Constant
  | GString
  | Variable
  | Call
  | Closure
  | MapNode
  | (Span & { readonly kind: "list"; readonly items: readonly Expression[] })
  | (Span & {
      readonly kind: "binary";
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    })
  | (Span & { readonly kind: "not"; readonly operand: Expression })
  | (Span & { readonly kind: "property"; readonly object: Expression; readonly name: string | undefined })
  | (Span & { readonly kind: "other" });

/** A statement. The expression of "other" is what is returned, or what the first variable declared is. */
export type Statement =
  | (Span & { readonly kind: "expression"; readonly expression: Expression })
  | (Span & { readonly kind: "method"; readonly name: string; readonly body: Block | undefined })
  | (Span & { readonly kind: "other"; readonly blocks: readonly Block[]; readonly expression?: Expression });
