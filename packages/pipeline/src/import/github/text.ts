import { literal, textOf } from "../draft.ts";
import { type Expression, parseExpression } from "./expression.ts";

/** What the expressions of a text became. */
export interface TranslatedText {
  readonly text: string;
  /** Secrets that it used; in their place is a variable of the shell. */
  readonly secrets: readonly string[];
  /** Expressions that have no counterpart; they are left out. */
  readonly problems: readonly string[];
}

/** Names that expressions of a job can ask for. */
export interface TextScope {
  /** Jobs of the workflow, under their names in the pipeline. */
  readonly jobs: ReadonlyMap<string, string>;
  /** A shell reads it: variables and secrets can stand for themselves. */
  readonly isScript: boolean;
  /** Values of `env` that are known. */
  readonly env: ReadonlyMap<string, string>;
}

const CONTEXTS: ReadonlyMap<string, string> = new Map([
  ["github.sha", "run.commit"],
  ["github.ref", "run.ref"],
  ["github.ref_name", "run.branch"],
  ["github.head_ref", "run.branch"],
  ["github.base_ref", "run.base_branch"],
  ["github.actor", "run.sender"],
  ["github.triggering_actor", "run.sender"],
  ["github.run_id", "run.id"],
  ["github.event_name", "run.event"],
  ["github.workflow", "run.pipeline"],
  ["github.event.number", "run.pull_request"],
  ["github.event.pull_request.number", "run.pull_request"],
  ["github.event.pull_request.head.sha", "run.commit"],
]);
const FIXED: ReadonlyMap<string, string> = new Map([
  ["runner.os", "Linux"],
  ["runner.temp", "/tmp"],
  ["github.workspace", "."],
  ["github.server_url", "https://github.com"],
]);

/** The counterpart of a context, as text with an expression; undefined when there is none. */
export function contextText(name: string, jobs: ReadonlyMap<string, string>): string | undefined {
  const fixed = FIXED.get(name);
  if (fixed !== undefined) return fixed;
  const known = CONTEXTS.get(name);
  if (known !== undefined) return `\${{ ${known} }}`;
  const input = /^(?:inputs|github\.event\.inputs)\.([A-Za-z_][\w-]{0,63})$/.exec(name)?.[1];
  if (input !== undefined) return `\${{ parameters.${input} }}`;
  if (/^matrix\.[A-Za-z_][\w-]{0,63}$/.test(name)) return `\${{ ${name} }}`;
  const [, job = "", key] = /^needs\.([\w-]+)\.outputs\.([\w.-]+)$/.exec(name) ?? [];
  const own = jobs.get(job);
  return own === undefined || key === undefined ? undefined : `\${{ jobs.${own}.outputs.${key} }}`;
}

/** Translates the expressions of a text. */
export function translateText(source: string, scope: TextScope): TranslatedText {
  const secrets: string[] = [];
  const problems: string[] = [];
  let end = 0;
  let text = "";
  for (const match of source.matchAll(/\$\{\{([\s\S]{0,2000}?)\}\}/g)) {
    text += literal(source.slice(end, match.index));
    end = match.index + match[0].length;
    const expression = parseExpression(match[1] ?? "");
    const found = expression === undefined ? undefined : counterpart(expression, scope, secrets);
    if (found === undefined) problems.push(match[0].slice(0, 120));
    else text += found;
  }
  return { text: text + literal(source.slice(end)), secrets, problems };
}

function counterpart(expression: Expression, scope: TextScope, secrets: string[]): string | undefined {
  if (expression.kind === "literal") return literal(textOf(expression.value ?? ""));
  if (expression.kind === "call") return callText(expression);
  if (expression.kind !== "context") return undefined;
  const { name } = expression;
  const secret = /^secrets\.([A-Za-z_]\w{0,127})$/.exec(name)?.[1];
  if (secret !== undefined && scope.isScript) {
    secrets.push(secret);
    return `$${secret}`;
  }
  const variable = /^env\.([A-Za-z_]\w*)$/.exec(name)?.[1];
  if (variable !== undefined) return scope.isScript ? `$${variable}` : scope.env.get(variable);
  return contextText(name, scope.jobs);
}

function callText({ name, args }: Extract<Expression, { kind: "call" }>): string | undefined {
  if (name !== "hashfiles") return undefined;
  const globs = args.map((arg) => (arg.kind === "literal" ? textOf(arg.value) : ""));
  return globs.length === 0 || globs.some((glob) => glob === "" || glob.includes("'"))
    ? undefined
    : `\${{ hash(${globs.map((glob) => `'${glob}'`).join(", ")}) }}`;
}
