import { asPlain, asTexts, numberOf, type Plain, textOf } from "./draft.ts";

/** A test for a shell, and the variables that it reads. */
export interface ShellGuard {
  readonly env: Readonly<Record<string, string>>;
  readonly test: string;
}

/** A condition as a test of the shell, for steps, which have no conditions of their own. */
export function shellGuard(when: Plain): ShellGuard {
  const env: Record<string, string> = {};
  const test = testOf(when, env);
  return { env, test };
}

function testOf(when: Plain, env: Record<string, string>): string {
  const parts = Object.entries(when).map(([key, value]) => partOf(key, value, env));
  return parts.length === 1 ? (parts[0] ?? "true") : `{ ${parts.join(" && ")}; }`;
}

function partOf(key: string, value: unknown, env: Record<string, string>): string {
  if (key === "not") return `! { ${testOf(asPlain(value), env)}; }`;
  if (key === "all" || key === "any") {
    const tests = (Array.isArray(value) ? value : []).map((it) => testOf(asPlain(it), env));
    return `{ ${tests.join(key === "all" ? " && " : " || ")}; }`;
  }
  if (key === "values") {
    const tests = (Array.isArray(value) ? value : []).map((it) => valueTest(asPlain(it), env));
    return `{ ${tests.join(" && ")}; }`;
  }
  return caseOf(variable(`\${{ run.${key} }}`, env), asTexts(value));
}

function valueTest(condition: Plain, env: Record<string, string>): string {
  const name = variable(textOf(condition["value"] ?? ""), env);
  const { "at-least": least, "at-most": most, equals, glob } = condition;
  if (least !== undefined) return `[ "\${${name}:-0}" -ge ${numberOf(least)} ]`;
  if (most !== undefined) return `[ "\${${name}:-0}" -le ${numberOf(most)} ]`;
  if (equals === undefined) return caseOf(name, asTexts(glob));
  return `{ ${asTexts(equals)
    .map((text) => `[ "$${name}" = ${quoted(text)} ]`)
    .join(" || ")}; }`;
}

function variable(value: string, env: Record<string, string>): string {
  const known = Object.entries(env).find(([, text]) => text === value)?.[0];
  const name = known ?? `IF_${Object.keys(env).length + 1}`;
  env[name] = value;
  return name;
}

function caseOf(name: string, globs: readonly string[]): string {
  const patterns = globs.map((glob) =>
    glob.replaceAll("**", "*").replaceAll(/[^A-Za-z0-9_./*?[\]-]/g, (char) => `\\${char}`),
  );
  // As everywhere, what is empty fits no glob.
  return `{ [ -n "$${name}" ] && case "$${name}" in ${patterns.join(" | ")}) true ;; *) false ;; esac; }`;
}

/** One word of the shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
