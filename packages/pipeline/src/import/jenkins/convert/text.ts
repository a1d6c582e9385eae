import type { Expression } from "../groovy/nodes.ts";

/** A piece of a text: as it is, a variable of the environment, or what a script prints. */
export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "output"; readonly script: readonly Part[] };

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The pieces of an expression that gives text; undefined when it takes Groovy to know. */
export function partsOf(expression: Expression | undefined): readonly Part[] | undefined {
  if (expression === undefined) return undefined;
  switch (expression.kind) {
    case "constant":
      return [{ kind: "text", text: expression.value === null ? "null" : String(expression.value) }];
    case "gstring":
      return joined(
        expression.parts.map((part) =>
          part.kind === "text" ? [{ kind: "text", text: part.text }] : partsOf(part.expression),
        ),
      );
    case "variable":
      return isEnvironmentName(expression.name) ? [{ kind: "variable", name: expression.name }] : undefined;
    case "property":
      return propertyParts(expression.object, expression.name);
    case "binary":
      return binaryParts(expression);
    case "call":
      return callParts(expression);
    default:
      return undefined;
  }
}

/** Bare names are variables of the environment unless they look like a script's own. */
function isEnvironmentName(name: string): boolean {
  return /^[A-Z_][A-Z0-9_]*$/.test(name);
}

function joined(all: readonly (readonly Part[] | undefined)[]): readonly Part[] | undefined {
  const parts: Part[] = [];
  for (const some of all) {
    if (some === undefined) return undefined;
    parts.push(...some);
  }
  return parts;
}

function propertyParts(object: Expression, name: string | undefined): readonly Part[] | undefined {
  if (object.kind !== "variable" || name === undefined || !IDENTIFIER.test(name)) return undefined;
  if (object.name === "env" || object.name === "params") return [{ kind: "variable", name }];
  const isNumber = object.name === "currentBuild" && (name === "number" || name === "id");
  return isNumber ? [{ kind: "variable", name: "BUILD_NUMBER" }] : undefined;
}

function binaryParts(expression: Expression & { kind: "binary" }): readonly Part[] | undefined {
  const { operator, left, right } = expression;
  if (operator === "[" && right.kind === "constant" && typeof right.value === "string")
    return propertyParts(left, right.value);
  if (operator !== "+") return undefined;
  const sides: Expression[] = [];
  let at: Expression = expression;
  while (at.kind === "binary" && at.operator === "+") {
    sides.push(at.right);
    at = at.left;
  }
  // Numbers are added up before they meet a text.
  if (at.kind === "constant" && typeof at.value !== "string") return undefined;
  return joined([at, ...sides.reverse()].map(partsOf));
}

/** What changes nothing that a shell would notice. */
const HARMLESS: ReadonlySet<string> = new Set(["trim", "toString", "stripIndent"]);

function callParts({ target, method, args }: Expression & { kind: "call" }): readonly Part[] | undefined {
  const name = method.kind === "constant" ? method.value : undefined;
  if (target !== undefined) return typeof name === "string" && HARMLESS.has(name) ? partsOf(target) : undefined;
  const [only] = args;
  if (name !== "sh" || only?.kind !== "map") return undefined;
  const find = (key: string) => only.entries.find((it) => it.key.kind === "constant" && it.key.value === key)?.value;
  const wanted = find("returnStdout");
  const script = partsOf(find("script"));
  if (script === undefined || wanted?.kind !== "constant" || wanted.value !== true) return undefined;
  return [{ kind: "output", script }];
}

/** A text in single quotes for a shell. */
export function quoteShell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** One word of a shell command. */
export function shellWord(parts: readonly Part[]): string {
  if (parts.every((part) => part.kind === "text")) {
    const text = parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
    return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : quoteShell(text);
  }
  const inner = parts.map((part) =>
    part.kind === "text" ? part.text.replaceAll(/[\\"$`]/g, "\\$&") : expansion(part),
  );
  return `"${inner.join("")}"`;
}

function expansion(part: Exclude<Part, { kind: "text" }>): string {
  return part.kind === "variable" ? `\${${part.name}}` : `$(${shellScript(part.script)})`;
}

/**
 * A script whose pieces Groovy would have filled in before the shell saw it. Where the shell would not look into
 * single quotes, they are left around the variable.
 */
export function shellScript(parts: readonly Part[]): string {
  let script = "";
  let quote: "" | "'" | '"' = "";
  for (const part of parts) {
    if (part.kind === "text") {
      script += part.text;
      quote = quoteAfter(part.text, quote);
    } else script += quote === "'" ? `'"${expansion(part)}"'` : expansion(part);
  }
  return script;
}

/** Which quotes are open after some text of a script. */
function quoteAfter(text: string, before: "" | "'" | '"'): "" | "'" | '"' {
  let quote = before;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "\\" && quote !== "'") i++;
    else if (quote === "" && char === "#" && (i === 0 || /\s/.test(text[i - 1] ?? ""))) {
      const end = text.indexOf("\n", i);
      if (end < 0) return quote;
      i = end;
    } else if (char === "'" || char === '"') {
      if (quote === "") quote = char;
      else if (quote === char) quote = "";
    }
  }
  return quote;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

/** Whether text holds what no text of kedge.yaml may. */
export function hasControls(text: string): boolean {
  return text.search(CONTROLS) >= 0;
}

/** Text of kedge.yaml that stands for itself: control characters cannot be in it, and `${{` is none of ours. */
export function literal(text: string): string {
  return text.replaceAll(CONTROLS, "").replaceAll("${{", () => "$${{");
}

/** Whether text of kedge.yaml can name an image, ref or the like: no blanks, expressions aside, and no literal `${{`. */
export function isReference(text: string): boolean {
  return !text.includes("$${{") && /^[^\s-]\S{0,400}$/.test(text.replaceAll(/\$\{\{[^}]*\}\}/g, "x"));
}
