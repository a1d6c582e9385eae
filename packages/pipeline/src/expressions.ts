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

/** What is known of a run besides its jobs. */
export const RUN_FIELDS = [
  "id",
  "pipeline",
  "commit",
  "ref",
  "branch",
  "tag",
  "event",
  "pull_request",
  "base_branch",
  "sender",
  "changed",
] as const;

/** One of RUN_FIELDS. */
export type RunField = (typeof RUN_FIELDS)[number];

/** What a late-bound expression is looked up in. */
export type Reference =
  | { readonly kind: "run"; readonly field: RunField }
  | { readonly kind: "job"; readonly job: string; readonly table: "outputs" | "metrics"; readonly key: string }
  /** The digest of files in the workspace; only in the key of a cache, and filled in by the agent. */
  | { readonly kind: "hash"; readonly globs: readonly string[] };

/** The meaning of a late-bound name; undefined when it has none. */
export function parseReference(name: string): Reference | undefined {
  const field = RUN_FIELDS.find((it) => name === `run.${it}`);
  if (field !== undefined) return { kind: "run", field };
  const globs = hashedGlobs(name);
  if (globs !== undefined) return { kind: "hash", globs };
  const match = /^jobs\.([a-z0-9-]{1,64})\.(outputs|metrics)\.([A-Za-z0-9_.:/-]{1,128})$/.exec(name);
  if (match === null) return undefined;
  const [, job = "", table, key = ""] = match;
  return { kind: "job", job, table: table === "metrics" ? "metrics" : "outputs", key };
}

/** The globs of `hash('a', 'b/**')`; undefined when it is not one. */
export function hashedGlobs(name: string): readonly string[] | undefined {
  const inner = /^hash\(([^()]{1,180})\)$/.exec(name)?.[1];
  const globs = inner?.split(",").map((part) => /^'([^']{1,160})'$/.exec(part.trim())?.[1] ?? "");
  return globs === undefined || globs.includes("") ? undefined : globs;
}

/** The parameter that a name stands for: `parameters.x` or `params.x`. */
export function parameterName(name: string): string | undefined {
  return /^param(?:eter)?s\.([A-Za-z_][A-Za-z0-9_-]{0,63})$/.exec(name)?.[1];
}

/** The axis of a matrix, or input of a component, that a name stands for: `matrix.x`, `inputs.x`. */
export function scopedName(name: string): { readonly scope: "matrix" | "inputs"; readonly name: string } | undefined {
  const match = /^(matrix|inputs)\.([A-Za-z_][A-Za-z0-9_-]{0,63})$/.exec(name);
  return match === null ? undefined : { scope: match[1] === "matrix" ? "matrix" : "inputs", name: match[2] ?? "" };
}
