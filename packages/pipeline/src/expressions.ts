/** A piece of a string: text, `${{ lookup }}`, or one that does not close. */
export type Token =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "lookup"; readonly source: string; readonly name: string }
  | { readonly kind: "open"; readonly source: string };

const TOKEN = /(\$\$\{\{)|\$\{\{([^}]{0,200})\}\}|(\$\{\{)/g;

/** Splits a string into text and lookups. `$${{` is text: a literal `${{`. */
export function tokenise(source: string): Token[] {
  const tokens: Token[] = [];
  let text = "";
  let end = 0;
  const flush = () => {
    if (text !== "") tokens.push({ kind: "text", text });
    text = "";
  };
  for (const match of source.matchAll(TOKEN)) {
    text += source.slice(end, match.index);
    end = match.index + match[0].length;
    if (match[1] !== undefined) {
      text += "${{";
      continue;
    }
    flush();
    const name = match[2]?.trim();
    tokens.push(name === undefined ? { kind: "open", source: "${{" } : { kind: "lookup", source: match[0], name });
  }
  text += source.slice(end);
  flush();
  return tokens;
}

/** Tells whether a string has to be tokenised at all. */
export function hasExpression(text: string): boolean {
  return text.includes("${{");
}

/** Tells whether a string holds a lookup, escapes aside. */
export function hasLookup(text: string): boolean {
  return hasExpression(text) && tokenise(text).some((token) => token.kind !== "text");
}

/**
 * The string that tokenises to these tokens; undefined when there is none, because text next to a lookup would be
 * read as part of one ("$" right before it, say).
 */
export function untokenise(tokens: readonly Token[]): string | undefined {
  const source = tokens
    .map((token) => (token.kind === "text" ? token.text.replaceAll("${{", () => "$${{") : token.source))
    .join("");
  const merged = mergeText(tokens);
  const again = tokenise(source);
  const same = merged.length === again.length && merged.every((token, i) => sameToken(token, again[i]));
  return same ? source : undefined;
}

function mergeText(tokens: readonly Token[]): Token[] {
  const merged: Token[] = [];
  for (const token of tokens) {
    const last = merged.at(-1);
    if (token.kind === "text" && token.text === "") continue;
    if (token.kind === "text" && last?.kind === "text") {
      merged[merged.length - 1] = { kind: "text", text: last.text + token.text };
    } else merged.push(token);
  }
  return merged;
}

function sameToken(a: Token, b: Token | undefined): boolean {
  if (a.kind === "text") return b?.kind === "text" && a.text === b.text;
  return b !== undefined && b.kind !== "text" && a.source === b.source;
}

/** What a late-bound expression is looked up in. */
export type Reference =
  | { readonly kind: "run"; readonly field: "id" | "commit" | "ref" }
  | { readonly kind: "job"; readonly job: string; readonly table: "outputs" | "metrics"; readonly key: string };

/** The meaning of a late-bound name; undefined when it has none. */
export function parseReference(name: string): Reference | undefined {
  if (name === "run.id" || name === "run.commit" || name === "run.ref") {
    return { kind: "run", field: name === "run.id" ? "id" : name === "run.commit" ? "commit" : "ref" };
  }
  const match = /^jobs\.([a-z0-9-]{1,64})\.(outputs|metrics)\.([A-Za-z0-9_.:/-]{1,128})$/.exec(name);
  if (match === null) return undefined;
  const [, job = "", table, key = ""] = match;
  return { kind: "job", job, table: table === "metrics" ? "metrics" : "outputs", key };
}

/** The parameter that a name stands for: `parameters.x` or `params.x`. */
export function parameterName(name: string): string | undefined {
  return /^param(?:eter)?s\.([A-Za-z_][A-Za-z0-9_-]{0,63})$/.exec(name)?.[1];
}
