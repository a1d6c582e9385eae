/** A part of a glob: a character, one of some, any but "/", any run without "/", any run, or any number of folders. */
type Token =
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "set"; readonly chars: string; readonly negated: boolean }
  | { readonly kind: "one" | "star" | "deep" | "folders" };

const MAX_ALTERNATIVES = 64;

/**
 * Tells whether a value fits a list of globs: the last one that fits counts, and `!` in front of it takes out. A list that only
 * takes out takes out of everything. `*` and `?` stay within a segment, `**` does not; `[a-z]` and `{a,b}` are known.
 * Time grows with the product of the lengths, never faster.
 */
export function fitsGlobs(value: string, globs: readonly string[]): boolean {
  let fits = globs.every((glob) => glob.startsWith("!"));
  for (const glob of globs) {
    const takesOut = glob.startsWith("!");
    if (fitsGlob(value, takesOut ? glob.slice(1) : glob)) fits = !takesOut;
  }
  return fits;
}

/** Tells whether a value fits one glob, all of it. */
export function fitsGlob(value: string, glob: string): boolean {
  return alternatives(glob).some((it) => fitsTokens(value, tokensOf(it)));
}

/** The globs that `{a,b}` stands for; what would be too many is taken literally. */
function alternatives(glob: string): string[] {
  const done: string[] = [];
  const open = [glob];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const match = /\{([^{}]*,[^{}]*)\}/.exec(next);
    if (match === null || done.length + open.length >= MAX_ALTERNATIVES) {
      done.push(next);
      continue;
    }
    const [whole, inner = ""] = match;
    for (const part of inner.split(","))
      open.push(next.slice(0, match.index) + part + next.slice(match.index + whole.length));
  }
  return done;
}

function tokensOf(glob: string): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < glob.length; ) {
    const set = glob[i] === "[" ? /^\[(!?)([^\]]+)\]/.exec(glob.slice(i, i + 100)) : null;
    if (glob.startsWith("**/", i) && (i === 0 || glob[i - 1] === "/")) {
      tokens.push({ kind: "folders" });
      i += 3;
    } else if (glob.startsWith("**", i)) {
      tokens.push({ kind: "deep" });
      i += 2;
    } else if (set !== null) {
      tokens.push({ kind: "set", chars: set[2] ?? "", negated: set[1] === "!" });
      i += set[0].length;
    } else {
      tokens.push(tokenOf(glob[i] ?? ""));
      i += 1;
    }
  }
  return tokens;
}

function tokenOf(char: string): Token {
  if (char === "*") return { kind: "star" };
  return char === "?" ? { kind: "one" } : { kind: "char", char };
}

/** Keeps the set of tokens that may come next (Thompson 1968), so nothing is tried twice. */
function fitsTokens(value: string, tokens: readonly Token[]): boolean {
  let states = reachable([0], tokens, true);
  for (let i = 0; i < value.length; i++) {
    const char = value[i] ?? "";
    const next = [...states].flatMap((state) => advance(state, tokens[state], char));
    states = reachable(next, tokens, char === "/");
    if (states.size === 0) return false;
  }
  return states.has(tokens.length);
}

function advance(state: number, token: Token | undefined, char: string): number[] {
  switch (token?.kind) {
    case "char":
      return token.char === char ? [state + 1] : [];
    case "set":
      return char !== "/" && inSet(token.chars, char) !== token.negated ? [state + 1] : [];
    case "one":
      return char === "/" ? [] : [state + 1];
    case "star":
      return char === "/" ? [] : [state];
    case "deep":
    case "folders":
      return [state];
    default:
      return [];
  }
}

/** What may be passed without a character; `folders` only where a segment begins. */
function reachable(from: readonly number[], tokens: readonly Token[], atSegment: boolean): Set<number> {
  const states = new Set<number>();
  const open = [...from];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    if (states.has(state)) continue;
    states.add(state);
    const kind = tokens[state]?.kind;
    if (kind === "star" || kind === "deep" || (kind === "folders" && atSegment)) open.push(state + 1);
  }
  return states;
}

function inSet(chars: string, char: string): boolean {
  for (let i = 0; i < chars.length; i++) {
    if (chars[i + 1] === "-" && i + 2 < chars.length) {
      if (char >= (chars[i] ?? "") && char <= (chars[i + 2] ?? "")) return true;
      i += 2;
    } else if (chars[i] === char) return true;
  }
  return false;
}
