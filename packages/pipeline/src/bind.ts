import {
  hasExpression,
  parameterName,
  parseReference,
  type Reference,
  type Token,
  tokenise,
  untokenise,
} from "./expressions.ts";
import { type Finding, formatPath, nearHint, type Path, quote } from "./finding.ts";
import type { BoundParameter } from "./parameters.ts";
import { isTextField } from "./text-fields.ts";

/** A late-bound expression and where it stands. */
export interface PlacedReference {
  readonly path: Path;
  readonly reference: Reference;
}

/** A tree with its parameters filled in. Late-bound expressions and escapes are still there. */
export interface BoundTree {
  readonly value: unknown;
  readonly findings: Finding[];
  readonly references: PlacedReference[];
  /** Names of the parameters that are used. */
  readonly used: ReadonlySet<string>;
  /** formatPath of values that hold a parameter whose value is not known yet. */
  readonly unknown: ReadonlySet<string>;
}

/** A plain file, which is called so in findings, knows no expressions; a pipeline has parameters and late-bound ones. */
export type BindOptions =
  | { readonly mode: "plain"; readonly called: string }
  | { readonly mode: "pipeline"; readonly parameters: ReadonlyMap<string, BoundParameter> };

/** Fills parameters into every value of a file. Keys, `name` and `parameters` at the top are left alone. */
export function bindTree(root: unknown, options: BindOptions): BoundTree {
  const binder = new Binder(options);
  return {
    value: binder.bind(root, []),
    findings: binder.findings,
    references: binder.references,
    used: binder.used,
    unknown: binder.unknown,
  };
}

class Binder {
  readonly findings: Finding[] = [];
  readonly references: PlacedReference[] = [];
  readonly used = new Set<string>();
  readonly unknown = new Set<string>();
  readonly #options: BindOptions;

  constructor(options: BindOptions) {
    this.#options = options;
  }

  bind(value: unknown, path: Path): unknown {
    if (typeof value === "string") return hasExpression(value) ? this.#bindText(value, path) : value;
    if (Array.isArray(value)) return value.map((item, i) => this.bind(item, [...path, i]));
    if (typeof value !== "object" || value === null) return value;
    const result: Record<string, unknown> = Object.create(null);
    for (const [key, item] of Object.entries(value)) {
      const literal = path.length === 0 && (key === "name" || key === "parameters");
      result[key] = literal ? item : this.bind(item, [...path, key]);
    }
    return result;
  }

  #bindText(source: string, path: Path): unknown {
    const tokens = tokenise(source);
    if (this.#options.mode === "plain") return this.#plainText(tokens, path, this.#options.called);
    const { parameters } = this.#options;
    const only = tokens.length === 1 ? this.#parameter(tokens[0], parameters, path) : undefined;
    if (only !== undefined && !isTextField(path) && typeof only.value !== "string") return only.value;
    const bound = tokens.map((token) => this.#bindToken(token, parameters, path));
    const text = untokenise(bound);
    if (text !== undefined) return text;
    const hint = 'a "$" or "{" next to the expression changes its meaning; put something between them';
    this.findings.push({ path, message: "the value of a parameter runs into an expression", hint });
    return source;
  }

  #plainText(tokens: readonly Token[], path: Path, called: string): string {
    const lookup = tokens.find((token) => token.kind !== "text");
    if (lookup !== undefined) {
      const hint = "expressions belong into pipelines; for a literal ${{ write $${{";
      this.findings.push({ path, message: `a ${called} has no expressions: ${quote(lookup.source)}`, hint });
    }
    return tokens.map((token) => (token.kind === "text" ? token.text : token.source)).join("");
  }

  #bindToken(token: Token, parameters: ReadonlyMap<string, BoundParameter>, path: Path): Token {
    if (token.kind === "text") return token;
    if (token.kind === "open") {
      this.findings.push({ path, message: `\${{ has no closing }}`, hint: "for a literal ${{ write $${{" });
      return token;
    }
    const parameter = this.#parameter(token, parameters, path);
    if (parameter !== undefined) return { kind: "text", text: parameter.text };
    const name = parameterName(token.name);
    if (name !== undefined) {
      const hint = () => nearHint(name, parameters.keys());
      this.findings.push({ path, message: `no parameter ${quote(name)} is declared`, hint });
      return token;
    }
    const reference = parseReference(token.name);
    if (reference === undefined) this.#reportUnknown(token.name, path);
    else this.references.push({ path, reference });
    return token;
  }

  /** The parameter that a token asks for, if it asks for one that is declared. */
  #parameter(token: Token | undefined, parameters: ReadonlyMap<string, BoundParameter>, path: Path) {
    const name = token?.kind === "lookup" ? parameterName(token.name) : undefined;
    const parameter = name === undefined ? undefined : parameters.get(name);
    if (name === undefined || parameter === undefined) return undefined;
    this.used.add(name);
    if (parameter.unknown) this.unknown.add(formatPath(path));
    return parameter;
  }

  #reportUnknown(name: string, path: Path): void {
    this.findings.push({
      path,
      message: `nothing is called ${quote(name)}`,
      hint: () =>
        nearHint(name, ["run.id", "run.commit", "run.ref"]) ??
        "there are parameters.<name>, jobs.<job>.outputs.<key>, jobs.<job>.metrics.<key>, run.id, run.commit and run.ref",
    });
  }
}
