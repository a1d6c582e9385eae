import { unclosed } from "../bind.ts";
import { hasExpression, parseReference, scopedName, type Token, tokenise, untokenise } from "../expressions.ts";
import { type Finding, formatPath, nearHint, type Path, quote } from "../finding.ts";
import type { BoundParameter } from "../parameters.ts";
import { isTextField } from "../text-fields.ts";

/** Fills `${{ inputs.x }}` into the steps of a component, and leaves what is looked up later. */
export class BoundInputs {
  readonly findings: Finding[] = [];
  readonly used = new Set<string>();
  readonly unknown = new Set<string>();
  readonly #inputs: ReadonlyMap<string, BoundParameter>;

  constructor(inputs: ReadonlyMap<string, BoundParameter>) {
    this.#inputs = inputs;
  }

  bind(value: unknown, path: Path): unknown {
    if (typeof value === "string") return hasExpression(value) ? this.#bindText(value, path) : value;
    if (Array.isArray(value)) return value.map((item, i) => this.bind(item, [...path, i]));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.bind(item, [...path, key])]));
  }

  #bindText(source: string, path: Path): unknown {
    const tokens = tokenise(source);
    const [first] = tokens;
    const only = tokens.length === 1 ? this.#input(first, path) : undefined;
    if (only !== undefined && !isTextField(path) && typeof only.value !== "string") return only.value;
    const text = untokenise(tokens.map((token) => this.#bindToken(token, path)));
    if (text !== undefined) return text;
    this.findings.push({ path, message: "the value of an input runs into an expression" });
    return source;
  }

  #bindToken(token: Token, path: Path): Token {
    if (token.kind === "open") this.findings.push(unclosed(path));
    if (token.kind !== "lookup") return token;
    const input = this.#input(token, path);
    if (input !== undefined) return { kind: "text", text: input.text };
    if (parseReference(token.name)?.kind === "run") return token;
    const message = `a component knows its inputs and run.<field> only, not ${quote(token.name)}`;
    this.findings.push({
      path,
      message,
      hint: () =>
        nearHint(
          token.name,
          [...this.#inputs.keys()].map((it) => `inputs.${it}`),
        ),
    });
    return token;
  }

  #input(token: Token | undefined, path: Path): BoundParameter | undefined {
    const scoped = token?.kind === "lookup" ? scopedName(token.name) : undefined;
    const input = scoped?.scope === "inputs" ? this.#inputs.get(scoped.name) : undefined;
    if (scoped === undefined || input === undefined) return undefined;
    this.used.add(scoped.name);
    if (input.unknown) this.unknown.add(formatPath(path));
    return input;
  }
}
